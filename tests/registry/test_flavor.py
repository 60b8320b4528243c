"""What training saves: served by Slipway, opened by plain MLflow, and never run."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from services.core.errors import CheckpointError
from services.families import discover
from services.families.base import Fitted, TrainableFamily, predict
from services.registry import opening
from services.registry.flavor import log_model, save_model
from services.registry.registry import Registry
from services.registry.requirements import requirements
from tests.conftest import MakeSettings
from tests.registry.conftest import Shelf
from tests.registry.test_opening import Bomb
from tests.support.mlflow_server import MlflowServer

QUICK: dict[str, dict[str, Any]] = {"tabular": {"rows": 200}, "digits": {"epochs": 1}}


def family(name: str) -> TrainableFamily:
    found = discover()[name]
    assert isinstance(found, TrainableFamily)
    return found


def fitted(name: str) -> Fitted:
    params = {**family(name).defaults(), **QUICK[name]}
    split = family(name).read(None, params)
    return family(name).fit(split, params, 0, lambda done, total, metrics: None)


@pytest.fixture(scope="module")
def table() -> Fitted:
    return fitted("tabular")


def test_a_model_goes_to_mlflow_and_comes_back(
    table: Fitted,
    shelf: Shelf,
    mlflow_server: MlflowServer,
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(mlflow_tracking_uri=mlflow_server.uri)
    families = discover()
    registry = Registry(settings, families)
    run = shelf.client.create_run("0")
    logged = log_model(table, family=family("tabular"), client=shelf.client, run_id=run.info.run_id)
    name = f"flavored {run.info.run_id[:6]}"
    ref = registry.register(
        name, logged.uri, run_id=run.info.run_id, tags={"version": "1.0.0"}, description="first"
    )
    assert (ref.version, ref.tags["version"]) == ("1", "1.0.0")
    assert registry.register(name, logged.uri).version == "2"
    artifact = registry.fetch(registry.find(name, "1"))
    assert artifact.family == "tabular" and artifact.native is None
    assert artifact.signature == table.signature
    assert artifact.example == table.example
    model = families["tabular"].open(artifact, settings)
    answer = predict(model, artifact.example)

    # MLflow's own tools see a model as any other.
    mlflow.set_tracking_uri(mlflow_server.uri)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = mlflow.pyfunc.load_model(f"models:/{name}/1")
            columns = [item["name"] for item in loaded.metadata.signature.inputs.to_dict()]
            rows = pd.DataFrame(np.zeros((3, len(columns))), columns=columns)
            plain = loaded.predict(rows)
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    ours = predict(model, {"inputs": rows.to_dict("records")})
    assert list(plain) == ours["predictions"]
    assert answer
    outputs = shelf.client.get_run(run.info.run_id).outputs
    assert outputs is not None
    assert [item.model_id for item in outputs.model_outputs] == [logged.model_id]


def test_the_requirements_are_what_is_imported() -> None:
    lines = requirements(family("tabular"))
    assert [line.partition("==")[0] for line in lines] == sorted(
        line.partition("==")[0] for line in lines
    )
    names = {line.partition("==")[0].lower() for line in lines}
    assert {"mlflow", "numpy", "pandas", "scikit-learn"} <= names
    assert not names & {"fastapi", "torch", "typer"}


@pytest.mark.parametrize("name", QUICK)
def test_a_pickle_in_place_of_the_weights_never_runs(
    name: str, tmp_path: Path, make_settings: MakeSettings, request: pytest.FixtureRequest
) -> None:
    canary = tmp_path / "canary"
    bomb = pickle.dumps(Bomb(str(canary)))
    model = request.getfixturevalue("table") if name == "tabular" else fitted(name)
    folder = tmp_path / "model"
    save_model(model, folder, family=family(name))
    artifact = opening.artifact(folder, "m", "1", families={name})
    family(name).open(artifact, make_settings())
    for path in artifact.folder.rglob("*"):
        if path.is_file():
            path.write_bytes(bomb)
    artifact = opening.artifact(folder, "m", "1", families={name}, trusted=("m",))
    with pytest.raises(CheckpointError):
        family(name).open(artifact, make_settings())
    assert not canary.exists()
    pickle.loads(bomb)
    assert canary.exists(), "the bomb works"
