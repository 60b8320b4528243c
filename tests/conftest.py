"""What all tests share: settings untouched by the machine they run on."""

import gc
import logging
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from services.core.settings import Settings, get_settings

MakeSettings = Callable[..., Settings]
# Files that take minutes, the longest first. Begun last they would run alone at the end, each in
# one process, while the other processes have nothing left to do.
SLOWEST = (
    "gateway/test_schemathesis.py",
    "chaos/records/test_everybody_dies.py",
    "chaos/jobs/test_workers_die.py",
    "chaos/records/test_damage.py",
    "gateway/test_process.py",
    "gateway/scoring/test_mlflow_clients.py",
    "gateway/test_repository_registry.py",
    "gateway/test_registry_routes.py",
    "ledger/shipping/test_jobrecords_killed.py",
    "ledger/shipping/test_shipper_process.py",
    "cli/supervisor/test_run_jobs.py",
    "worker/test_training.py",
    "worker/test_ending.py",
    "gateway/test_own_models.py",
    "gateway/oip/test_demo_models.py",
    "chaos/jobs/",
    "chaos/records/",
    "seeds/",
    "cli/supervisor/",
    "worker/",
    "training/",
    "registry/",
    "ledger/shipping/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first; all else stays as it is."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(here).as_posix() if here in item.path.parents else ""
        found = (number for number, name in enumerate(SLOWEST) if path.startswith(name))
        return next(found, len(SLOWEST))

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let every report travel: workers send it as UTF-8, and some tests log what is no Unicode."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode("utf-8"))
        for name, text in report.sections
    ]
    return report


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide the settings of the machine; a test sets those it means."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture(autouse=True)
def _logging_as_it_comes() -> Iterator[None]:
    """Undo what a test configured: the next one reads its log where it is without that."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True, scope="module")
def _in_sight_again() -> Iterator[None]:
    """Let the collector see again what engines took out of its sight: they have ended."""
    yield
    gc.unfreeze()


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Return a maker of settings: defaults, and what the test names."""

    def make(**values: Any) -> Settings:
        return settings_for_tests(**{"data_dir": tmp_path, **values})

    return make


def settings_for_tests(**values: Any) -> Settings:
    """Return settings that no variable of this machine has touched."""
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields:
            patch.delenv(name.upper(), raising=False)
        return Settings(_env_file=None, **{"num_threads": 1, "shutdown_delay": 0, **values})
