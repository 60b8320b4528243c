"""`GET /predictions/{id}`: from the moment of the answer, with and without the database."""

import time
import uuid

import pytest

from services.core.ids import new_id
from services.core.settings import Settings
from services.ledger.database import index, runs
from services.ledger.database.tables import SENT
from services.ledger.places import Places
from services.ledger.records import day, trace_id
from tests.conftest import MakeSettings
from tests.gateway.predictions.conftest import Serve, opened, predict
from tests.ledger.database.made import Segment, fill, record
from tests.ledger.journals import all_payloads
from tests.support.patience import PATIENCE
from tests.support.postgres import PostgresServer


def test_it_is_there_at_once(serve: Serve, settings: Settings) -> None:
    client = serve(settings).client
    for number in range(20):
        prediction_id = predict(client, [number, 100])
        answer = client.get(f"/predictions/{prediction_id}")
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["id"], body["output"]) == (prediction_id, {"predictions": [number + 100]})


def test_what_it_says(serve: Serve, settings: Settings) -> None:
    client = serve(settings).client
    answer = client.post(
        "/predict", json={"features": [1, 2]}, headers={"X-Request-ID": "order-17"}
    )
    prediction_id = answer.headers["X-Prediction-ID"]
    body = client.get(f"/predictions/{prediction_id}").json()
    created = body.pop("created_at")
    assert created.endswith("+00:00") and body.pop("started_at") == created
    assert created <= body.pop("completed_at")
    metrics = body.pop("metrics")
    assert set(metrics["phases"]) == {"queue", "preprocess", "inference", "postprocess"}
    assert 0 < sum(metrics["phases"].values()) <= metrics["predict_time"] < 30
    assert body == {
        "id": prediction_id, "status": "succeeded", "model": "adder", "version": "7",
        "stage": "None", "mode": "sync", "caller": None, "request_id": "order-17",
        "input": {"features": [1, 2]}, "input_digest": None, "input_ref": None,
        "output": {"predictions": [3.0]}, "output_ref": None, "error": None, "logs": "",
        "cached": False, "confidence": None, "feedback": [],
        "links": {
            "self": f"/predictions/{prediction_id}", "mlflow_trace": None, "mlflow_run": None
        },
    }  # fmt: skip
    assert client.get(body["links"]["self"]).status_code == 200
    assert client.get(f"/predictions/{prediction_id.upper()}").status_code == 200


def test_one_that_failed(serve: Serve, settings: Settings) -> None:
    client = serve(settings).client
    client.post("/predict", json={"features": [13]})
    with opened(settings) as database:
        from services.ledger.records import parse

        (failed,) = [parse(payload) for payload in all_payloads(settings.data_dir)]
        body = client.get(f"/predictions/{failed.id}").json()
        assert (body["status"], body["output"]) == ("failed", None)
        assert body["error"] == {
            "code": "prediction_failed", "message": "The model failed on this input.",
            "where": None, "expected": None, "phase": "inference",
        }  # fmt: skip
        # The same from the database.
        fill(database, [failed])
        assert client.get(f"/predictions/{failed.id}").json() == body


def test_from_the_database_alone(serve: Serve, settings: Settings) -> None:
    client = serve(settings).client
    made = record(caller="ada", cached=True, input_digest="sha256:00", output_ref="00.json")
    with opened(settings) as database:
        fill(database, [made])
    body = client.get(f"/predictions/{made.id}").json()
    assert (body["caller"], body["cached"], body["input_digest"], body["output_ref"]) == (
        "ada", True, "sha256:00", "00.json"
    )  # fmt: skip
    assert (body["created_at"], body["completed_at"]) == (
        "2026-11-21T12:00:00.000000+00:00", "2026-11-21T12:00:00.003000+00:00"
    )  # fmt: skip


def test_what_is_not_there(serve: Serve, settings: Settings) -> None:
    client = serve(settings).client
    predict(client)
    for unknown in (new_id(), str(uuid.uuid4()), "00000000-0000-7000-8000-000000000000"):
        answer = client.get(f"/predictions/{unknown}")
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["where"]) == (404, "not_found", "id")
        assert "7 days" in error["expected"] and unknown not in answer.text


def test_what_is_no_id(make_settings: MakeSettings, serve: Serve) -> None:
    client = serve(make_settings(ledger_shipper="off")).client
    for odd in ("canary", "0" * 31, new_id() + "0", "%00", "%C3%28", "0" * 5000):
        answer = client.get(f"/predictions/{odd}")
        assert (answer.status_code, answer.json()["error"]["where"]) == (422, "id"), odd
        assert "canary" not in answer.text
    assert client.get("/predictions/1%2F2").status_code == 404


@pytest.mark.parametrize(
    ("values", "page"),
    [
        ({"mlflow_ui_url": "https://mlflow.example/ui/"}, "https://mlflow.example/ui/#/"),
        ({"mlflow_tracking_uri": "http://ada:secret@127.0.0.1:9"}, "http://127.0.0.1:9/#/"),
    ],
)
def test_links_into_mlflow(
    make_settings: MakeSettings, serve: Serve, values: dict[str, str], page: str
) -> None:
    settings = make_settings(ledger_shipper="off", **values)
    client = serve(settings).client
    made, thinned = record(), record()
    with opened(settings) as database:
        fill(database, [made, thinned])
        links = client.get(f"/predictions/{made.id}").json()["links"]
        assert (links["mlflow_trace"], links["mlflow_run"]) == (None, None)
        with database.begin() as connection:
            runs.remember_run(connection, made.model, made.version, day(made), "17", "run1")
            index.mark_traces(connection, [made.id], SENT)
    links = client.get(f"/predictions/{made.id}").json()["links"]
    assert links["mlflow_run"] == f"{page}experiments/17/runs/run1"
    assert links["mlflow_trace"].startswith(f"{page}experiments/17/traces?")
    assert trace_id(made.id) in links["mlflow_trace"]
    links = client.get(f"/predictions/{thinned.id}").json()["links"]
    assert links["mlflow_trace"] is None and links["mlflow_run"] is not None


def test_no_links_without_a_server(make_settings: MakeSettings, serve: Serve) -> None:
    settings = make_settings(ledger_shipper="off", mlflow_tracking_uri="sqlite:///nowhere.db")
    client = serve(make_settings(ledger_shipper="off")).client
    made = record()
    with opened(settings) as database:
        fill(database, [made])
        with database.begin() as connection:
            runs.remember_run(connection, made.model, made.version, day(made), "17", "run1")
            index.mark_traces(connection, [made.id], SENT)
    links = client.get(f"/predictions/{made.id}").json()["links"]
    assert (links["mlflow_trace"], links["mlflow_run"]) == (None, None)


def test_what_is_indexed_meanwhile_is_never_missed(serve: Serve, settings: Settings) -> None:
    """The shipper indexes and deletes segments between two looks."""
    from services.ledger.reading import read, remove, segments
    from services.ledger.records import parse

    client = serve(settings).client
    journal = Places(settings.data_dir).journal
    ids = [predict(client, [number, 100]) for number in range(10)]
    with opened(settings) as database:
        for segment in segments(journal):
            chunk = read(segment, 0)
            for entry in chunk.records:
                with database.begin() as connection:
                    named = Segment(segment.writer, segment.number)
                    index.add(connection, [parse(entry.payload)], named, entry.end, 0)
                assert all(client.get(f"/predictions/{one}").status_code == 200 for one in ids[::4])
            remove(segment)
    assert all(client.get(f"/predictions/{one}").status_code == 200 for one in ids)


@pytest.mark.slow
def test_while_the_database_is_down(
    make_settings: MakeSettings, serve: Serve, postgres_server: PostgresServer, postgres_url: str
) -> None:
    settings = make_settings(ledger_shipper="off", ledger_database_url=postgres_url)
    client = serve(settings).client
    known = predict(client)
    assert client.get(f"/predictions/{known}").json()["feedback"] == []
    postgres_server.kill()
    try:
        recent = predict(client)
        for prediction_id in (known, recent):
            body = client.get(f"/predictions/{prediction_id}").json()
            assert (body["id"], body["feedback"]) == (prediction_id, None)
        began = time.monotonic()
        for method, path in (
            ("GET", f"/predictions/{new_id()}"), ("GET", "/predictions"),
            ("POST", f"/predictions/{known}/feedback"),
        ):  # fmt: skip
            body = {"json": {"value": True}} if method == "POST" else {}
            answer = client.request(method, path, **body)
            assert answer.status_code == 503, answer.text
            assert answer.json()["error"]["code"] == "ledger_unavailable"
            assert int(answer.headers["Retry-After"]) > 0
            assert "tops3cret" not in answer.text
        assert time.monotonic() - began < PATIENCE
    finally:
        postgres_server.start()
    assert client.get("/predictions").status_code == 200
    assert client.get(f"/predictions/{known}").json()["feedback"] == []
    assert client.get(f"/predictions/{new_id()}").status_code == 404


def test_a_database_that_is_none(make_settings: MakeSettings, serve: Serve) -> None:
    """SQLite's file is spoilt: predictions go on, and are found in the journal."""
    settings = make_settings(ledger_shipper="off")
    place = Places(settings.data_dir).database
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"no database at all" * 1000)
    client = serve(settings).client
    prediction_id = predict(client)
    assert client.get(f"/predictions/{prediction_id}").json()["output"] == {"predictions": [3.0]}
    answer = client.get("/predictions")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ledger_unavailable")


def test_without_records(make_settings: MakeSettings, serve: Serve) -> None:
    settings = make_settings(ledger=False)
    client = serve(settings).client
    prediction_id = predict(client)
    answer = client.get(f"/predictions/{prediction_id}")
    assert (answer.status_code, answer.json()["error"]["expected"]) == (404, "LEDGER=true")
    assert client.get("/predictions").json() == {"predictions": [], "next": None}
    answer = client.post(f"/predictions/{prediction_id}/feedback", json={"value": 1})
    assert answer.status_code == 404
    assert not Places(settings.data_dir).root.exists()
