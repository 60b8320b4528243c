"""A registry on a real MLflow server, and quick ways to fill it."""

import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from services.families.base import Artifact, Family, Model
from services.registry.registry import Registry
from tests.conftest import MakeSettings
from tests.support.mlflow_server import MlflowServer, mlflow_server

__all__ = ["mlflow_server"]


class OddFamily(Family):
    """Opens nothing; only its name counts."""

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]

    def open(self, artifact: Artifact, settings: Any) -> Model:
        raise NotImplementedError


class Shelf:
    """Fills an MLflow server with small models."""

    def __init__(self, uri: str) -> None:
        self.client = MlflowClient(uri, registry_uri=uri)
        self._run: Any = None

    @property
    def run_id(self) -> str:
        return str(self._files().info.run_id)

    def model(self, versions: int = 1, name: str | None = None) -> str:
        """Register a model with so many versions; return its name."""
        name = name or f"model {uuid.uuid4().hex[:8]}"
        self.client.create_registered_model(name)
        for _ in range(versions):
            self.version(name)
        return name

    def version(self, name: str, **options: Any) -> str:
        run = self._files()
        made = self.client.create_model_version(
            name,
            source=f"{run.info.artifact_uri}/model",
            run_id=run.info.run_id,
            await_creation_for=0,
            **options,
        )
        return str(made.version)

    def add(self, folder: Path, name: str | None = None) -> str:
        """Register a folder that holds an MLmodel as version 1 of a model; return its name."""
        run = self.client.create_run("0")
        self.client.log_artifacts(run.info.run_id, str(folder), "model")
        name = self.model(0, name)
        self.client.create_model_version(
            name, f"{run.info.artifact_uri}/model", run.info.run_id, await_creation_for=0
        )
        return name

    def stage(self, name: str, version: str) -> str:
        return str(self.client.get_model_version(name, version).current_stage)

    def tags(self, name: str, version: str) -> dict[str, str]:
        return dict(self.client.get_model_version(name, version).tags)

    def aliases(self, name: str) -> dict[str, str]:
        found = self.client.get_registered_model(name).aliases
        return {alias: str(version) for alias, version in found.items()}

    def _files(self) -> Any:
        if self._run is None:
            self._run = self.client.create_run("0")
            run_id = self._run.info.run_id
            self.client.log_text(run_id, "flavors: {}", "model/MLmodel")
            self.client.log_text(run_id, "x" * 1000, "model/data/weights.bin")
        return self._run


@contextmanager
def deprecated() -> Iterator[None]:
    """Let the seeds' own calls warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


@pytest.fixture(scope="session")
def shelf(mlflow_server: MlflowServer) -> Shelf:
    return Shelf(mlflow_server.uri)


MakeRegistry = Callable[..., Registry]


@pytest.fixture
def make_registry(
    make_settings: MakeSettings,
    mlflow_server: MlflowServer,
) -> MakeRegistry:
    """Return a maker of registries on the shared server."""

    def make(**values: Any) -> Registry:
        settings = make_settings(**{"mlflow_tracking_uri": mlflow_server.uri, **values})
        families = {name: OddFamily(name) for name in ("tabular", "pyfunc", "digits")}
        return Registry(settings, families)

    return make


@pytest.fixture
def registry(make_registry: MakeRegistry) -> Registry:
    return make_registry()
