"""Models of many kinds in a real MLflow (SQLite), logged once; a test registers those it needs.

`from tests.support.versions import shelf` brings the fixture into a `conftest.py`.
"""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.core.settings import Settings
from services.families import discover
from services.registry.catalogue import Stage, VersionRef
from services.registry.registry import Registry
from tests.conftest import settings_for_tests

COLUMNS = ("length", "width", "weight")
SLOW_SECONDS = 0.03


class Shelf:
    """Logged models by what they are, and an MLflow to register them in.

    Attributes:
        uri: of MLflow.
        held_out: a CSV of `COLUMNS` and the right answers, `kind` (a class) and `price`.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder = folder
        self.uri = uri
        self.held_out = folder / "held_out.csv"
        self._logged: dict[str, str] = {}
        self.runs: dict[str, str] = {}
        self._experiment: str | None = None

    def settings(self, data_dir: Path, **values: Any) -> Settings:
        """Return settings that name this MLflow."""
        return settings_for_tests(mlflow_tracking_uri=self.uri, data_dir=data_dir, **values)

    def registry(self, data_dir: Path, **values: Any) -> Registry:
        """Return a registry on it, with copies in a folder of the test's own."""
        return Registry(self.settings(data_dir, **values), discover())

    def uri_of(self, kind: str) -> str:
        """Return the address of a logged model; it is made when it is first asked for."""
        if kind not in self._logged:
            self._logged[kind] = _MAKERS[kind](self)
        return self._logged[kind]

    def register(
        self, registry: Registry, *kinds: str, production: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> tuple[str, list[VersionRef]]:  # fmt: skip
        """Register kinds as versions 1, 2 … of a model of a name of its own."""
        name = f"{kinds[0]}-{uuid4().hex[:8]}"
        return name, self.add(registry, name, *kinds, production=production, tags=tags)

    def add(
        self, registry: Registry, name: str, *kinds: str, production: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> list[VersionRef]:  # fmt: skip
        """Register kinds as further versions of a model."""
        for kind in kinds:
            uri = self.uri_of(kind)
            registry.register(name, uri, run_id=self.runs[uri], tags=tags)
        if production is not None:
            registry.transition(name, production, Stage.PRODUCTION, actor="test")
        return registry.versions(name)

    def log(self, save: Callable[[Path], None]) -> str:
        """Log what `save` writes into a folder as a model; return its address."""
        from mlflow import MlflowClient

        folder = self.folder / uuid4().hex
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of MLflow, about the pandas it runs with
            save(folder)
        client = MlflowClient(self.uri, self.uri)
        if self._experiment is None:
            # A server keeps them where it likes.
            local = self.uri.startswith("sqlite:")
            place = (self.folder / "artifacts").as_uri() if local else None
            self._experiment = client.create_experiment("shelf", artifact_location=place)
        run = client.create_run(self._experiment)
        client.log_metric(run.info.run_id, "accuracy", 0.5)
        client.log_param(run.info.run_id, "made", folder.name)
        made = client.create_logged_model(self._experiment, source_run_id=run.info.run_id)
        client.log_model_artifacts(made.model_id, str(folder))
        client.finalize_logged_model(made.model_id, "READY")
        self.runs[f"models:/{made.model_id}"] = run.info.run_id
        return f"models:/{made.model_id}"


def rows(count: int, seed: int) -> tuple[Any, Any, Any]:
    """Return a table of `COLUMNS`, and for each row its kind (0 or 1) and its price."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(count, 3)), columns=list(COLUMNS))
    kind = (table["length"] + 0.5 * table["width"] > 0).astype(int)
    return table, kind, 3.0 * table["length"] - table["weight"] + 0.25


def _sklearn(shelf: Shelf, model: Any, example: Any, **values: Any) -> str:
    import mlflow.sklearn

    return shelf.log(
        lambda folder: mlflow.sklearn.save_model(
            model, folder, input_example=example, pip_requirements=["scikit-learn"], **values
        )
    )


def _classifier(shelf: Shelf, learn: Callable[[Any], Any] = lambda answers: answers) -> str:
    from sklearn.linear_model import LogisticRegression

    table, kind, _ = rows(400, seed=1)
    return _sklearn(shelf, LogisticRegression().fit(table, learn(kind)), table[:1])


def _renamed(shelf: Shelf) -> str:
    from sklearn.linear_model import LogisticRegression

    table, kind, _ = rows(400, seed=1)
    table = table.rename(columns={"width": "breadth"})
    return _sklearn(shelf, LogisticRegression().fit(table, kind), table[:1])


def _regressor(shelf: Shelf, noise: float = 0.0) -> str:
    from sklearn.linear_model import LinearRegression

    table, _, price = rows(400, seed=1)
    wrong = price if not noise else price * (1 - noise)
    return _sklearn(shelf, LinearRegression().fit(table, wrong), table[:1])


def _bare(shelf: Shelf) -> str:
    from sklearn.linear_model import LogisticRegression

    table, kind, _ = rows(400, seed=1)
    return _sklearn(shelf, LogisticRegression().fit(table, kind), None)


def _pickled(shelf: Shelf) -> str:
    from sklearn.linear_model import LogisticRegression

    table, kind, _ = rows(400, seed=1)
    return _sklearn(
        shelf, LogisticRegression().fit(table, kind), table[:1], serialization_format="cloudpickle"
    )


def _pyfunc(shelf: Shelf, answer: Callable[[Any], Any]) -> str:
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    signature = ModelSignature(
        Schema([ColSpec("double", name) for name in COLUMNS]), Schema([ColSpec("double")])
    )
    table, _, _ = rows(1, seed=1)

    def save(folder: Path) -> None:
        class Odd(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
            # Without types: MLflow makes checks of them, or warns that it cannot.
            def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
                return answer(model_input)

        mlflow.pyfunc.save_model(
            folder, python_model=Odd(), signature=signature, pip_requirements=["numpy"]
        )
        _write_example(folder, table)

    return shelf.log(save)


def _own(shelf: Shelf, *, upside_down: bool = False) -> str:
    """Return a classifier of Slipway's own family, taught right or wrong."""
    from services.families.tabular import FAMILY
    from services.families.tabular.data import Examples
    from services.registry.flavor import save_model

    params = FAMILY.defaults()
    split = FAMILY.read(None, params)
    if upside_down:
        labels: list[int | str] = [1 - int(label) for label in split.train.labels]
        wrong = Examples(split.train.fields, split.train.rows, labels)
        split = replace(split, train=wrong)
    fitted = FAMILY.fit(split, params, 0, lambda *_: None)
    return shelf.log(lambda folder: save_model(fitted, folder, family=FAMILY))


def _write_example(folder: Path, table: Any) -> None:
    """Put an example beside a model that MLflow would refuse to log with one: it breaks on it."""
    import json

    split = {"columns": list(COLUMNS), "data": table.to_numpy().tolist()}
    text = json.dumps({"dataframe_split": split})
    (folder / "serving_input_example.json").write_text(text, encoding="utf-8")


def _slow(table: Any) -> Any:
    time.sleep(SLOW_SECONDS)
    return (3.0 * table["length"] - table["weight"] + 0.25).to_numpy()


_MAKERS: dict[str, Callable[[Shelf], str]] = {
    "classifier": _classifier,
    "worse": lambda shelf: _classifier(shelf, lambda answers: 1 - answers),
    "renamed": _renamed,
    "regressor": _regressor,
    "worse-regressor": lambda shelf: _regressor(shelf, 0.2),
    "bare": _bare,
    "pickled": _pickled,
    "own": _own,
    "own-worse": lambda shelf: _own(shelf, upside_down=True),
    "slow": lambda shelf: _pyfunc(shelf, _slow),
    "broken": lambda shelf: _pyfunc(shelf, lambda table: 1 / 0),
    # Fails at rows that are longer than 1,000.
    "fragile": lambda shelf: _pyfunc(
        shelf, lambda table: 1 / 0 if (table["length"] > 1000).any() else table["length"]
    ),
    "endless": lambda shelf: _pyfunc(shelf, lambda table: table["length"] / 0.0),
}


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Return the shelf of the session."""
    folder = tmp_path_factory.mktemp("shelf")
    made = Shelf(folder, f"sqlite:///{folder / 'mlflow.db'}")
    table, kind, price = rows(120, seed=2)
    table.assign(kind=kind, price=price).to_csv(made.held_out, index=False)
    return made
