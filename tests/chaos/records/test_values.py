"""Inputs and outputs that fit nowhere: each prediction is on record all the same, and in MLflow."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from services.ledger import blobs
from services.ledger.places import Places
from tests.chaos.records import evidence
from tests.chaos.records.conftest import Start
from tests.chaos.records.processes import Mlflow, Program
from tests.chaos.records.stand import wait_taken

pytestmark = pytest.mark.slow

_LONG = "x" * 5_000_000
# What is told to say it, and the output that is on record; the answer itself may be a 500.
_SAID: dict[str, Any] = {
    "nan": None,
    "infinities": [None, None],
    "array": [1.5, None],
    "bytes": "//4A",
    "surrogate": "? alone",
    "large number": str(2**80),
}


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[Mlflow]:
    server = Mlflow(tmp_path / "mlflow")
    yield server
    server.stop()


def test_each_is_on_record(
    start: Start, places: Places, tmp_path: Path, mlflow: Mlflow, shipper: Program
) -> None:
    server = start(LEDGER_SEGMENT_SECONDS=0.2)
    with server.client() as client:
        for saying in _SAID:
            assert ask(client, {"say": saying}).status_code in {200, 500}
        assert ask(client, {"say": "fail"}).status_code == 500
        long_output = ask(client, {"say": "long"})
        long_input = ask(client, [_LONG])
        assert (long_output.status_code, long_input.status_code) == (200, 200)
        for body in (b'{"features": "\xff\xfe"}', b'{"features": "\\ud800"}', b'{"features": NaN}'):
            assert client.post("/predict", content=body, headers=_JSON).status_code == 400
        last = ask(client, [1.0])
    shipper.start(MLFLOW_TRACKING_URI=mlflow.uri)
    wait_taken(places, shipper.tail)
    table = evidence.in_parquet(mlflow, tmp_path / "read").set_index("prediction_id")
    assert len(table) == len(_SAID) + 4
    check_sayings(table)
    check_long_input(places, table.loc[long_input.headers["X-Prediction-ID"]])
    check_long_output(places, table.loc[long_output.headers["X-Prediction-ID"]])
    assert last.headers["X-Prediction-ID"] in table.index
    assert set(evidence.in_traces(mlflow)) == set(table.index)
    assert not list(places.root.glob("dead/*"))


_JSON = {"Content-Type": "application/json"}


def ask(client: httpx.Client, features: Any) -> httpx.Response:
    return client.post("/predict", json={"features": features})


def check_sayings(table: Any) -> None:
    """See that every output is on record in a form that JSON has."""
    found = {}
    for _, row in table.iterrows():
        asked = json.loads(row["input"])["features"] if row["input"] else None
        if isinstance(asked, dict) and asked["say"] in _SAID:
            found[asked["say"]] = json.loads(row["output"])["prediction"]
        elif isinstance(asked, dict) and asked["say"] == "fail":
            assert (row["status"], row["error_code"]) == ("failed", "prediction_failed")
    assert found == _SAID


def check_long_input(places: Places, row: Any) -> None:
    """See that it is kept once, beside the record, and that its digest is right."""
    content = blobs.path(places, row["input_ref"]).read_bytes()
    assert orjson.loads(content) == {"features": [_LONG]}
    assert row["input_digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert row["input"] is None


def check_long_output(places: Places, row: Any) -> None:
    content = blobs.path(places, row["output_ref"]).read_bytes()
    assert orjson.loads(content) == {"prediction": _LONG}
    assert row["output"] is None
