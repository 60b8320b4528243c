"""What the tests of the command line share: the command itself, run inside this process."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.cli.main import main
from services.core.settings import Settings, get_settings
from tests.support.versions import shelf

__all__ = ["Command", "Outcome", "shelf", "slipway"]


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def slipway(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `slipway` with arguments."""

    def run(*arguments: str | Path) -> Outcome:
        capsys.readouterr()  # what the test itself said before
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        code = stopped.value.code
        assert isinstance(code, int) or code is None
        return Outcome(code or 0, written.out, written.err)

    return run


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run every command in an empty folder, with no setting of the developer's."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)  # the servers of these tests are on this machine
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()
