"""Live quality with all its parts: a gateway that is alone, its shipper, and a real MLflow."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

from services.core.settings import Settings
from services.families.base import Artifact, Family, Model, ModelInfo
from services.families.cutler.judging import MaskJudging
from services.ledger.records import trace_id
from services.monitoring import quality
from tests.conftest import settings_for_tests
from tests.support.local import serving
from tests.support.mlflow_server import MlflowServer, mlflow_server
from tests.support.patience import PATIENCE

__all__ = ["mlflow_server"]
pytestmark = pytest.mark.slow


class Answering(Model):
    """Answers what it is asked: the class, or the boxes of objects."""

    def __init__(self, name: str) -> None:
        self.info = ModelInfo(name, "1", name, "test", "cpu", 64)

    def preprocess(self, payload: Any) -> Any:
        return payload

    def infer(self, batch: Sequence[Any]) -> list[Any]:
        return list(batch)

    def postprocess(self, prepared: Any, raw: Any) -> Mapping[str, Any]:
        if "say" in raw:
            return {"class": raw["say"], "probabilities": {"cat": 0.5, "dog": 0.5}}
        return {
            "size": [40, 60],
            "instances": [
                {"box": box, "score": 0.9 - box[0] / 100, "area": 400, "mask": None}
                for box in raw["boxes"]
            ],
        }


class Named(Family):
    """Says the class that it is told."""

    name = model_name = "named"
    task = "test"
    field = "say"

    def builtin(self, settings: Settings) -> Artifact:
        return Artifact(self.name, self.name, "1", Path())

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        return Answering(self.name)


class Boxed(MaskJudging, Named):
    """Finds the objects that it is told."""

    name = model_name = "boxed"
    field = "boxes"


@pytest.fixture
def settings(tmp_path: Path, mlflow_server: MlflowServer) -> Settings:
    return settings_for_tests(
        data_dir=tmp_path,
        mlflow_tracking_uri=mlflow_server.uri,
        ledger_trace_rate=10_000,
        ledger_experiment="quality",
        ledger_segment_seconds=0.2,
        ledger_shipper="thread",
        cache="off",
    )


@pytest.fixture
def client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setattr(quality, "EVERY", 0.3)
    with serving(settings, {"named": Named(), "boxed": Boxed()}) as server:
        yield server.client


def predict(client: httpx.Client, body: Any) -> str:
    answer = client.post("/predict", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["X-Prediction-ID"])


def say(client: httpx.Client, prediction_id: str, expected: Any, status: int = 201) -> Any:
    answer = client.post(f"/predictions/{prediction_id}/feedback", json={"expected": expected})
    assert answer.status_code == status, answer.text
    return answer.json()


def series(client: httpx.Client) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    found = [line.rpartition(" ") for line in lines if line.startswith(("prediction_q", "feedb"))]
    return {name: float(value) for name, _, value in found}


def until(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return look()
        except (AssertionError, KeyError, ValueError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def wait_for(client: httpx.Client, name: str, labels: str, value: float) -> None:
    def look() -> None:
        assert series(client)[f"{name}{{{labels}}}"] == pytest.approx(value)

    until(look)


def registered(settings: Settings) -> None:
    """Register version 1 of the model, from a run that was judged when it was trained."""
    known = MlflowClient(settings.tracking_uri)
    run = known.create_run(known.create_experiment("training"))
    known.log_metric(run.info.run_id, "accuracy", 0.95)
    known.log_metric(run.info.run_id, "training_seconds", 9.0)
    known.create_registered_model("named")
    known.create_model_version("named", f"{run.info.artifact_uri}/model", run.info.run_id)


def assessed(settings: Settings, prediction_id: str) -> list[tuple[str, str, Any]]:
    trace = MlflowClient(settings.tracking_uri).get_trace(trace_id(prediction_id), display=False)
    return [(one.name, one.source.source_type, one.value) for one in trace.info.assessments]


def test_from_the_label_to_the_metric_and_to_mlflow(
    client: httpx.Client, settings: Settings
) -> None:
    registered(settings)
    right, wrong, late = (predict(client, {"say": "cat"}) for _ in range(3))
    # At once: neither is in the database yet.
    assert say(client, right, "cat")["correct"] is True
    assert say(client, wrong, "dog")["correct"] is False
    error = say(client, wrong, "cow", 422)["error"]
    assert (error["where"], error["expected"]) == ("expected", "cat, dog")
    version = 'model="named",version="1"'
    accuracy = 'metric="accuracy",' + version
    wait_for(client, "prediction_quality", accuracy, 0.5)
    assert series(client)[f"prediction_quality_samples{{{version}}}"] == 2
    assert series(client)[f"prediction_quality_reference{{{accuracy}}}"] == 0.95
    (shown,) = client.get("/models/named").json()["quality"]
    assert (shown["version"], shown["samples"], shown["reference"]) == ("1", 2, {"accuracy": 0.95})
    summary = client.get("/metrics/summary").json()["quality"]
    assert [one["metrics"]["accuracy"] for one in summary] == [0.5]
    # Late, many at once, and one of them thought better of.
    items = [
        {"prediction_id": late, "expected": "dog", "source": "ada"},
        {"prediction_id": right, "expected": "dog"},
    ]
    assert client.post("/predictions/feedback", json=items).json()["kept"] == 2
    wait_for(client, "prediction_quality", accuracy, 0.0)
    assert series(client)['feedback_total{kind="expectation",' + version + "}"] == 4
    expectations = {
        right: [
            ("expected", "HUMAN", "cat"), ("expected", "HUMAN", "dog"), ("correct", "CODE", False),
        ],
        wrong: [("expected", "HUMAN", "dog"), ("correct", "CODE", False)],
        late: [("expected", "HUMAN", "dog"), ("correct", "CODE", False)],
    }  # fmt: skip

    def look() -> None:
        found = {id: assessed(settings, id) for id in expectations}
        assert found == expectations

    until(look)
    known = MlflowClient(settings.tracking_uri)
    experiment = known.get_experiment_by_name("quality")
    assert experiment is not None
    found = known.search_traces(
        locations=[experiment.experiment_id], filter_string="feedback.correct = 'false'"
    )
    assert {trace.info.trace_id for trace in found} == {trace_id(id) for id in expectations}


def test_objects_in_pictures(client: httpx.Client) -> None:
    box, other = [10, 5, 30, 25], [35, 10, 55, 30]
    first, second = predict(client, {"boxes": [box]}), predict(client, {"boxes": [other]})
    said = say(client, first, [{"polygons": [[10, 5, 30, 5, 30, 25, 10, 25]]}])
    assert (said["correct"], said["uncounted"]) == (None, None)
    ap = 'metric="box_ap",model="boxed",version="1"'
    wait_for(client, "prediction_quality", ap, 1.0)
    # Of three objects one is found, surer than what is not there: 1 up to recall 1/3.
    say(client, second, [{"box": box}, {"bbox": [0, 0, 5, 5]}])
    wait_for(client, "prediction_quality", ap, 34 / 101)
    error = say(client, second, [{"box": [0, 0, 99, 9]}], 422)["error"]
    assert error["where"] == "expected[0].box"
