"""An MLflow database for a test: making one takes seconds, copying one does not."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from services.core.settings import Settings
from tests.conftest import settings_for_tests


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an MLflow database with nothing in it."""
    # Always the same folder: to pytest the fixture is another one in each module that imports it.
    folder = tmp_path_factory.getbasetemp() / "mlflow-template"
    if (folder / "empty.db").exists():
        return folder / "empty.db"
    folder.mkdir()
    settings = settings_for_tests(mlflow_tracking_uri=f"sqlite:///{folder / 'empty.db'}")
    client(settings).search_experiments(max_results=1)
    return folder / "empty.db"


@pytest.fixture
def mlflow_uri(mlflow_template: Path, tmp_path: Path) -> str:
    """Return the address of an empty MLflow of this test's own."""
    place = tmp_path / "mlflow.db"
    shutil.copy(mlflow_template, place)
    return f"sqlite:///{place}"


def client(settings: Settings) -> Any:
    """Return MLflow's own client, to see what others wrote."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(settings.tracking_uri, settings.tracking_uri)
