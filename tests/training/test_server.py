"""A training and a sweep against a real MLflow server: files go through it, links lead to it."""

from pathlib import Path
from typing import Any

import pytest

from services import families
from services.core.errors import RegistryUnavailableError
from services.core.settings import Settings
from services.registry.catalogue import Stage
from services.registry.registry import Registry
from services.training.run import train
from services.training.sweep import sweep
from tests.conftest import MakeSettings
from tests.support.mlflow_server import MlflowServer, free_port, mlflow_server
from tests.training.store import client
from tests.training.toy import FAMILY, found

__all__ = ["mlflow_server"]

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(
    mlflow_server: MlflowServer, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    monkeypatch.setattr(families, "discover", found)
    return make_settings(mlflow_tracking_uri=mlflow_server.uri)


def arguments(settings: Settings, **given: Any) -> dict[str, Any]:
    return {"seed": 0, "source": None, "settings": settings, **given}


def test_a_training_goes_through_the_server(settings: Settings, tmp_path: Path) -> None:
    result = train(
        FAMILY,
        **arguments(
            settings,
            params={"rounds": 5},
            register=True,
            stage=Stage.PRODUCTION,
            version_tag="1.0.0",
            experiment="training-server",
        ),
    )
    run = client(settings).get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert result.link == (
        f"{settings.mlflow_tracking_uri}/#/experiments/{run.info.experiment_id}"
        f"/runs/{result.run_id}"
    )
    registry = Registry(settings, found())
    ref = registry.find(result.name)
    assert (ref.version, ref.tags["version"], ref.run_id) == (
        result.version,
        "1.0.0",
        result.run_id,
    )
    model = FAMILY.open(registry.fetch(ref), settings)
    held_out = FAMILY.read(None, {}).held_out
    assert FAMILY.evaluate(model, held_out) == dict(result.metrics)
    assert not list((tmp_path / "mlflow").rglob("toy.json")), "files belong to the server"


def test_a_sweep_goes_through_the_server(settings: Settings) -> None:
    result = sweep(
        FAMILY,
        **arguments(
            settings,
            runs=3,
            sampler="tpe",
            fixed={"guess": "bottom"},
            register_best=True,
            experiment="training-server-sweep",
        ),
    )
    (version,) = Registry(settings, found()).versions("toy-model-bottom")
    assert (version.version, version.run_id) == (result.version, result.best.run_id)


def test_a_server_that_is_away_is_noticed_before_the_training(make_settings: MakeSettings) -> None:
    settings = make_settings(mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(RegistryUnavailableError, match="does not answer"):
        train(FAMILY, **arguments(settings, params={}))


def test_a_server_that_is_gone_for_a_moment_does_not_end_the_training(
    settings: Settings, mlflow_server: MlflowServer
) -> None:
    away = False

    def hang(done: int, total: int, metrics: Any) -> None:
        nonlocal away
        if done == 3:
            mlflow_server.stop()
            away = True
        if done == 8:
            mlflow_server.start()
            away = False

    params = {"rounds": 10, "pause": 0.5}
    try:
        result = train(
            FAMILY,
            **arguments(settings, params=params, report=hang, experiment="training-server-away"),
        )
    finally:
        if away:
            mlflow_server.start()
    curve = client(settings).get_metric_history(result.run_id, "train_accuracy")
    assert [point.step for point in curve] == list(range(1, 11))
