"""The command, and what its parent process does without."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.worker import __main__ as door
from tests.support.patience import PATIENCE

_PARENT = """
import sys
from services.core.settings import get_settings
from services.worker.app import make_worker
make_worker(get_settings(), "interactive")
heavy = {"torch", "mlflow", "sklearn", "cv2", "services.engine.engine"}
print(sorted(heavy & sys.modules.keys()))
"""


def test_the_parent_imports_no_model_library(tmp_path: Path) -> None:
    """A library with threads of its own must be loaded after the fork, and memory is dear."""
    done = subprocess.run(
        [sys.executable, "-c", _PARENT],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "REDIS_URL": "redis://127.0.0.1:1/0"},
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["check"], ["batch", "batch"], ["batch", "--concurrency", "0"]]
)
def test_arguments_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        door.main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize("role", ["interactive", "upkeep", "beat"])
def test_without_a_redis_it_says_what_is_missing(
    role: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert door.main([role]) == 1
    assert "REDIS_URL" in capsys.readouterr().err


def test_nobody_works_where_nobody_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert door.main(["check", "interactive"]) == 1
