"""Traces in a real MLflow server: what they show there, and that each is there once."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.ledger.database import index
from services.ledger.database.tables import REFUSED, SENT, THINNED
from services.ledger.reading import segments
from services.ledger.records import trace_id
from services.ledger.shipping import deadletters, posting
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.feedback import FeedbackStage
from services.ledger.shipping.traces import Traces
from tests.ledger.journals import record
from tests.ledger.shipping.storing import Ledger, exhaust, opened, runs_of
from tests.ledger.shipping.tracing import (
    POISON,
    expected,
    ids_of,
    say,
    settings_of,
    ship,
    states_of,
    traces_of,
)
from tests.support.mlflow_server import MlflowServer

pytestmark = pytest.mark.slow
ERROR = {
    "code": "prediction_failed", "message": "it broke", "where": "age", "expected": "a number",
    "phase": "inference",
}  # fmt: skip


def failed(**values: Any) -> dict[str, Any]:
    return record(status="failed", error=ERROR, output=None, confidence=None, **values)


@pytest.fixture
def ledger(tmp_path: Path, mlflow_server: MlflowServer) -> Iterator[Ledger]:
    with opened(settings_of(tmp_path, mlflow_server.uri)) as made:
        yield made


@pytest.fixture
def stage(ledger: Ledger) -> Iterator[Traces]:
    made = Traces(*ledger.stage)
    yield made
    made.close()


def forget(ledger: Ledger) -> None:
    """Be where the shipper was before it sent anything."""
    with ledger.database.begin() as connection:
        for segment in segments(ledger.places.journal):
            index.set_traced(connection, segment.writer, segment.number, 0)


def test_traces_are_found_by_model_and_status(ledger: Ledger, stage: Traces) -> None:
    good = [record(model="credit", version="3") for _ in range(3)]
    bad = [failed(model="credit", version="3", stage=None) for _ in range(2)]
    other = [record(model="cutler", version="3", stage="Staging")]
    ledger.write([*good, *bad, *other])
    exhaust(stage)
    for query, found in (
        ("tags.`slipway.model` = 'credit' AND tags.`slipway.status` = 'failed'", bad),
        ("tags.`slipway.model` = 'credit' AND trace.status = 'OK'", good),
        ("tags.`slipway.error` = 'prediction_failed'", bad),
        ("tags.`slipway.stage` = 'Staging'", other),
        ("trace.name = 'credit v3'", [*good, *bad]),
        (None, [*good, *bad, *other]),
    ):
        assert ids_of(traces_of(ledger.settings, query)) == expected(found), query
    runs = runs_of(ledger.settings)
    assert {key[:2] for key in runs} == {("credit", "3"), ("cutler", "3")}
    for key, run in runs.items():
        found = [*good, *bad] if key[0] == "credit" else other
        assert ids_of(traces_of(ledger.settings, run_id=run.info.run_id)) == expected(found)


def test_tags_that_are_left_out(tmp_path: Path, mlflow_server: MlflowServer) -> None:
    """What is no tag stands in the span, and is looked for there."""
    settings = settings_of(tmp_path, mlflow_server.uri, ledger_trace_tags=("model", "status"))
    good = [record(model="credit", version="3", stage="Staging") for _ in range(2)]
    bad, other = failed(model="credit", version="3"), record(model="cutler", stage="Staging")
    with opened(settings) as ledger:
        ledger.write([*good, bad, other])
        ship(ledger)
        for query, found in (
            ("tags.`slipway.model` = 'credit'", [*good, bad]),
            ("tags.`slipway.status` = 'failed'", [bad]),
            ("tags.`slipway.version` = '3'", []),
            ("tags.`slipway.stage` = 'Staging'", []),
            ("span.attributes.slipway.stage LIKE '%Staging%'", [*good, other]),
            ("trace.name = 'credit v3' AND trace.status = 'ERROR'", [bad]),
        ):
            assert ids_of(traces_of(settings, query)) == expected(found), query
        ((_, run),) = [(key, run) for key, run in runs_of(settings).items() if key[0] == "credit"]
        assert ids_of(traces_of(settings, run_id=run.info.run_id)) == expected([*good, bad])
        (trace,) = traces_of(settings, "trace.name = 'cutler v1'")
        assert {key for key in trace.info.tags if key.startswith("slipway.")} == {
            "slipway.model", "slipway.status",
        }  # fmt: skip


def test_dead_letters_and_late_feedback_have_the_same_tags(
    tmp_path: Path, mlflow_server: MlflowServer
) -> None:
    settings = settings_of(tmp_path, mlflow_server.uri, ledger_trace_tags=("version",))
    letter, thinned = record(version="3"), record(version="3")
    with opened(settings) as ledger:
        deadletters.append(ledger.places, deadletters.TRACES, [(orjson.dumps(letter), "")])
        assert deadletters.resend(*ledger.stage, deadletters.TRACES).sent == 1
        ledger.write([thinned])
        with ledger.database.begin() as connection:
            index.mark_traces(connection, [thinned["id"]], THINNED)
        say(ledger, thinned["id"])
        stage = FeedbackStage(*ledger.stage)
        exhaust(stage)
        stage.close()
    traces = traces_of(settings, "tags.`slipway.version` = '3'")
    assert ids_of(traces) == expected([letter, thinned])
    for trace in traces:
        assert [key for key in trace.info.tags if "slipway" in key] == ["slipway.version"]


def test_a_trace_shows_all_of_its_prediction(ledger: Ledger, stage: Traces) -> None:
    one = record(caller="alice", seconds=0.25, input={"features": [1, 2.5, None], "ä": "ü\0"})
    bad = failed(input_digest="sha256:" + "1" * 64, input_ref="1" * 64 + ".png")
    bad["input"] = None
    ledger.write([one, bad])
    exhaust(stage)
    client = Destination(ledger.settings).client()
    trace = client.get_trace(trace_id(one["id"]), display=False)
    assert trace.info.state == "OK"
    assert trace.info.request_time == pytest.approx(one["time"] * 1000, abs=1)
    assert trace.info.execution_duration == pytest.approx(250, abs=1)
    assert trace.info.trace_metadata["mlflow.trace.user"] == "alice"
    assert orjson.loads(trace.info.request_preview) == one["input"]
    assert orjson.loads(trace.info.response_preview) == one["output"]
    (span,) = trace.data.spans
    assert (span.name, span.inputs, span.outputs) == (
        "ml_classifier v1", one["input"], one["output"],
    )  # fmt: skip
    assert span.attributes["slipway.phases"] == one["phases"]
    assert span.attributes["slipway.request_id"] == "request-1"

    trace = client.get_trace(trace_id(bad["id"]), display=False)
    assert trace.info.state == "ERROR"
    (span,) = trace.data.spans
    assert span.inputs == {"digest": bad["input_digest"], "ref": bad["input_ref"]}
    assert span.status.description == "prediction_failed: it broke"
    assert span.events[0].attributes["exception.message"] == "it broke"


@pytest.mark.parametrize(
    "value", [5, 2.5, True, "text", "", "5", [1, "a"], [], {}, None, {"messages": 1}]
)
def test_values_come_back_as_they_were(ledger: Ledger, stage: Traces, value: Any) -> None:
    one = record(input=value, output=value)
    ledger.write([one])
    exhaust(stage)
    client = Destination(ledger.settings).client()
    (span,) = client.get_trace(trace_id(one["id"]), display=False).data.spans
    assert span.inputs == span.outputs == value


def test_sending_again_changes_nothing(ledger: Ledger, stage: Traces) -> None:
    made = [record(caller="alice") for _ in range(120)]
    ledger.write(made)
    exhaust(stage)
    for _ in range(2):
        forget(ledger)
        exhaust(stage)
    traces = traces_of(ledger.settings)
    assert ids_of(traces) == expected(made)
    assert {trace.info.execution_duration for trace in traces} <= {1, 2, 3}
    ((_, run),) = runs_of(ledger.settings).items()
    assert ids_of(traces_of(ledger.settings, run_id=run.info.run_id)) == expected(made)
    assert set(states_of(ledger).values()) == {SENT}


def test_one_bad_among_a_hundred(ledger: Ledger, stage: Traces) -> None:
    made = [record() for _ in range(100)]
    made[37]["request_id"] = POISON
    ledger.write(made)
    exhaust(stage)
    assert ids_of(traces_of(ledger.settings)) == expected(made[:37] + made[38:])
    states = states_of(ledger)
    assert states.pop(made[37]["id"]) == REFUSED
    assert set(states.values()) == {SENT}
    assert ledger.totals() == {"traces_sent": 99, "traces_refused": 1}
    (letter,) = deadletters.letters(ledger.places)
    assert letter.record == made[37]
    assert letter.error.startswith("422 ")


def test_dead_letters_are_sent_again(ledger: Ledger, stage: Traces) -> None:
    made = [record(request_id=POISON), record(), record(model="cutler")]
    ledger.write(made[:1])
    letters = [(orjson.dumps(one), "it was refused") for one in made]
    deadletters.append(ledger.places, deadletters.TRACES, [*letters, (b'{"id":1}', "no record")])
    result = deadletters.resend(*ledger.stage, deadletters.TRACES)
    assert (result.sent, result.left) == (2, 2)
    assert result.reason
    assert ids_of(traces_of(ledger.settings)) == expected(made[1:])
    left = deadletters.letters(ledger.places)
    assert [letter.record for letter in left] == [made[0], {"id": 1}]
    # What was wrong with it was put right.
    deadletters.remove(ledger.places, left)
    mended = {**made[0], "request_id": "r"}
    deadletters.append(ledger.places, deadletters.TRACES, [(orjson.dumps(mended), "")])
    assert deadletters.resend(*ledger.stage, deadletters.TRACES).left == 0
    assert deadletters.count(ledger.places) == 0
    assert states_of(ledger)[made[0]["id"]] == SENT
    assert ids_of(traces_of(ledger.settings)) == expected(made)


def test_a_backlog_is_thinned_by_the_rule(tmp_path: Path, mlflow_server: MlflowServer) -> None:
    settings = settings_of(
        tmp_path, mlflow_server.uri, ledger_trace_rate=200, ledger_trace_lag=1,
        ledger_low_confidence=0.5,
    )  # fmt: skip
    ordinary = [record() for _ in range(960)]
    must = [failed() for _ in range(20)] + [record(confidence=0.2) for _ in range(20)]
    with opened(settings) as ledger:
        made = [*ordinary, *must]
        made.sort(key=lambda one: one["id"][-8:])
        ledger.write(made)
        stage = Traces(*ledger.stage)
        stage.step()
        assert 0.19 <= stage.status()["trace_share"] <= 0.21
        ship(ledger)
        sent = set(ids_of(traces_of(settings)))
        assert sent >= set(expected(must))
        # A fifth of the first, more and more towards the end, when the backlog is short again.
        assert 960 / 5 * 0.6 <= len(sent) - 40 <= 960 * 0.75
        states = states_of(ledger)
        assert sorted(trace_id(one) for one in states if states[one] == SENT) == sorted(sent)
        assert Counter(states.values()) == {SENT: len(sent), THINNED: 1000 - len(sent)}
        assert ledger.totals() == {"traces_sent": len(sent), "traces_thinned": 1000 - len(sent)}
        stage.close()


def test_no_faster_than_the_rate(tmp_path: Path, mlflow_server: MlflowServer) -> None:
    settings = settings_of(
        tmp_path, mlflow_server.uri, ledger_trace_rate=4, ledger_trace_lag=86_400
    )
    with opened(settings) as ledger:
        ledger.write([record() for _ in range(40)])
        stage, began = Traces(*ledger.stage), time.monotonic()
        while time.monotonic() - began < 4:
            stage.step()
            time.sleep(0.05)
        seconds = time.monotonic() - began
        sent = ledger.totals()["traces_sent"]
        # 20 may have gathered before.
        assert 20 + 2 * 4 <= sent <= 20 + 4 * (seconds + 1)
        assert stage.status()["trace_share"] == 1.0
        stage.close()


def test_what_must_be_sent_needs_no_token(tmp_path: Path, mlflow_server: MlflowServer) -> None:
    settings = settings_of(
        tmp_path, mlflow_server.uri, ledger_trace_rate=0.01, ledger_trace_lag=86_400
    )
    with opened(settings) as ledger:
        ledger.write([failed() for _ in range(60)])
        stage = Traces(*ledger.stage)
        stage.step()
        assert ledger.totals() == {"traces_sent": 60}
        stage.close()


def test_at_most_a_hundred_are_linked_at_once() -> None:
    from mlflow.store.tracking import sqlalchemy_store

    assert vars(sqlalchemy_store)["MAX_TRACE_LINKS_PER_REQUEST"] >= posting.MOST_TRACES
