"""Registered models that each answer one number, so that an answer shows which version made it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.mlflow_server import MlflowServer

FEATURES = 4


def answer_of(version: str | int) -> int:
    """What a version answers, whatever it is asked."""
    return 100 + int(version)


class Constants:
    """A registered model on an MLflow server, and the versions made of it."""

    def __init__(self, server: MlflowServer, name: str, folder: Path) -> None:
        from mlflow import MlflowClient

        self.server = server
        self.name = name
        self.client: Any = MlflowClient(server.uri, server.uri)
        self._folder = folder
        self._experiment = self.client.create_experiment(f"constants-{folder.name}-{name}")
        self.client.create_registered_model(name)

    def add(self, *, broken: bool = False) -> str:
        """Register another version; return its number. A broken one cannot be opened."""
        number = len(self.client.search_model_versions(f"name='{self.name}'")) + 1
        folder = self._folder / f"{self.name}-{number}"
        self._save(folder, answer_of(number))
        if broken:
            (folder / "model.skops").write_bytes(b"no model")
        made = self.client.create_logged_model(self._experiment)
        self.client.log_model_artifacts(made.model_id, str(folder))
        self.client.finalize_logged_model(made.model_id, "READY")
        version = self.client.create_model_version(
            self.name, f"models:/{made.model_id}", model_id=made.model_id
        )
        assert int(version.version) == number
        return str(number)

    def alias(self, version: str) -> None:
        """Promote as MLflow's pages and clients do."""
        self.client.set_registered_model_alias(self.name, "production", version)

    def stage(self, version: str) -> None:
        """Promote by the call that has been deprecated since MLflow 2.9."""
        with _quiet():
            self.client.transition_model_version_stage(
                self.name, version, "Production", archive_existing_versions=True
            )

    def _save(self, folder: Path, answer: int) -> None:
        with _quiet():
            import mlflow.sklearn
        import numpy as np
        from sklearn.linear_model import LogisticRegression

        rows = np.random.default_rng(0).normal(size=(20, FEATURES))
        model = LogisticRegression().fit(rows, [0, answer] * 10)
        model.coef_[:] = 0
        model.intercept_[:] = 30
        with _quiet():
            mlflow.sklearn.save_model(
                model, folder, input_example=rows[:1], pip_requirements=["scikit-learn"]
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow warns of much, and of its own deprecated calls; warnings are errors here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
