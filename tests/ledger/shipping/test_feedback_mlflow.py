"""Feedback in a real MLflow server: on its trace, once, in order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.ledger.database import retention
from services.ledger.database.tables import ATTACHED, FAILED, PENDING, REFUSED, SENT
from services.ledger.records import trace_id
from services.ledger.shipping import deadletters
from services.ledger.shipping import feedback as feedback_stage
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.feedback import FeedbackStage
from services.ledger.shipping.traces import Traces
from tests.ledger.journals import record
from tests.ledger.shipping.storing import Ledger, exhaust, opened
from tests.ledger.shipping.tracing import (
    POISON,
    assessments_of,
    expected,
    ids_of,
    said,
    say,
    settings_of,
    states_of,
    traces_of,
)
from tests.support.mlflow_server import MlflowServer

pytestmark = pytest.mark.slow


@pytest.fixture
def ledger(tmp_path: Path, mlflow_server: MlflowServer) -> Iterator[Ledger]:
    with opened(settings_of(tmp_path, mlflow_server.uri)) as made:
        yield made


@pytest.fixture
def stage(ledger: Ledger) -> Iterator[FeedbackStage]:
    made = FeedbackStage(*ledger.stage)
    yield made
    made.close()


def trace(ledger: Ledger, **values: Any) -> str:
    """Make a prediction that has its trace; return its id."""
    one = record(**values)
    ledger.write([one])
    send_traces(ledger)
    return str(one["id"])


def send_traces(ledger: Ledger) -> None:
    stage = Traces(*ledger.stage)
    exhaust(stage)
    stage.close()


def thinned(ledger: Ledger) -> str:
    """Make a prediction whose trace was left out; return its id."""
    one = record()
    ledger.write([one])
    settings = ledger.settings.model_copy(update={"ledger_trace_rate": 0.0})
    stage = Traces(settings, ledger.database, ledger.places)
    exhaust(stage)
    stage.close()
    return str(one["id"])


def state_of(ledger: Ledger, prediction_id: str) -> list[int]:
    return [one.state for one in said(ledger, prediction_id)]


@pytest.mark.parametrize("kind", ["feedback", "expectation"])
@pytest.mark.parametrize("value", [True, 4, 2.5, "good", ["a", "b"], {"a": [1, "x"]}, [1, 2]])
def test_values_come_back_as_they_were(
    ledger: Ledger, stage: FeedbackStage, value: Any, kind: str
) -> None:
    name = trace(ledger)
    made = say(ledger, name, value=value, kind=kind, name="label", rationale="so", source="bob")
    exhaust(stage)
    assert state_of(ledger, name) == [ATTACHED]
    (found,) = assessments_of(ledger.settings, name)
    assert (found.name, found.value) == ("label", value)
    assert type(found).__name__.lower() == kind
    assert (found.source.source_type, found.source.source_id) == ("HUMAN", "bob")
    assert found.metadata["slipway.feedback_id"] == made.id
    assert "so" in (found.rationale, found.metadata.get("slipway.rationale"))
    assert found.create_time_ms == made.created // 1000


def test_feedback_before_the_trace_waits_and_nobody_else(
    ledger: Ledger, stage: FeedbackStage
) -> None:
    early = record()
    say(ledger, early["id"])  # not even indexed
    ready = trace(ledger)
    say(ledger, ready)
    ledger.write([early])
    exhaust(stage)
    assert state_of(ledger, early["id"]) == [PENDING]
    assert state_of(ledger, ready) == [ATTACHED]
    assert stage.status() == {
        "feedback_pending": 1, "feedback_attached": 1, "feedback_failed": 0,
    }  # fmt: skip
    send_traces(ledger)
    exhaust(stage)
    assert state_of(ledger, early["id"]) == [ATTACHED]
    assert len(assessments_of(ledger.settings, early["id"])) == 1


def test_the_order_is_kept(ledger: Ledger, stage: FeedbackStage) -> None:
    names = [record()["id"] for _ in range(2)]
    for number in range(6):
        for name in names:
            # As clocks may have it.
            say(ledger, name, value=number, name=f"n{number}", created=1_795_000_000_000_000)
    ledger.write([record(id=name) for name in names])
    exhaust(stage)
    send_traces(ledger)
    exhaust(stage)
    for name in names:
        found = assessments_of(ledger.settings, name)
        assert [one.value for one in found] == list(range(6))


def test_feedback_on_what_was_thinned_sends_the_trace(ledger: Ledger, stage: FeedbackStage) -> None:
    name, other = thinned(ledger), thinned(ledger)
    assert ids_of(traces_of(ledger.settings)) == []
    say(ledger, name)
    say(ledger, name, value=False)
    exhaust(stage)
    assert ids_of(traces_of(ledger.settings)) == [trace_id(name)]
    assert [one.value for one in assessments_of(ledger.settings, name)] == [True, False]
    assert states_of(ledger)[name] == SENT
    assert ledger.totals()["traces_sent"] == 1
    assert states_of(ledger)[other] != SENT


def test_a_trace_that_somebody_deleted_is_sent_again(ledger: Ledger, stage: FeedbackStage) -> None:
    name = trace(ledger)
    destination = Destination(ledger.settings)
    destination.client().delete_traces(destination.experiment_id(), trace_ids=[trace_id(name)])
    say(ledger, name)
    exhaust(stage)
    assert state_of(ledger, name) == [ATTACHED]
    assert len(assessments_of(ledger.settings, name)) == 1


def test_a_prediction_that_only_mlflow_still_has(
    ledger: Ledger, stage: FeedbackStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = trace(ledger)
    with ledger.database.begin() as connection:
        assert retention.prune(connection, 1e-9, 1_000_000, now=9e9, most=5000)
    say(ledger, name)
    exhaust(stage)
    assert state_of(ledger, name) == [PENDING]
    monkeypatch.setattr(feedback_stage, "_UNKNOWN_SECONDS", 0.0)
    exhaust(stage)
    assert state_of(ledger, name) == [ATTACHED]


def test_a_prediction_that_nobody_has(
    ledger: Ledger, stage: FeedbackStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = record()["id"]
    made = say(ledger, name)
    exhaust(stage)
    assert state_of(ledger, name) == [PENDING]
    monkeypatch.setattr(feedback_stage, "_UNKNOWN_SECONDS", 0.0)
    exhaust(stage)
    (known,) = said(ledger, name)
    assert known.state == FAILED
    assert known.last_error is not None and "neither" in known.last_error
    (letter,) = deadletters.letters(ledger.places, deadletters.FEEDBACK)
    assert letter.record["id"] == made.id
    # It turns up after all.
    ledger.write([record(id=name)])
    send_traces(ledger)
    assert deadletters.resend(*ledger.stage, deadletters.FEEDBACK).sent == 1
    exhaust(stage)
    assert state_of(ledger, name) == [ATTACHED]
    assert deadletters.count(ledger.places) == 0


def test_feedback_on_a_trace_that_was_refused(ledger: Ledger, stage: FeedbackStage) -> None:
    ledger.write([record()])
    send_traces(ledger)
    bad, good = record(request_id=POISON), record()
    ledger.write([bad, good])
    send_traces(ledger)
    assert states_of(ledger)[bad["id"]] == REFUSED
    say(ledger, bad["id"])
    say(ledger, good["id"])
    exhaust(stage)
    assert state_of(ledger, bad["id"]) == [FAILED]
    assert state_of(ledger, good["id"]) == [ATTACHED]
    assert ids_of(traces_of(ledger.settings, "tags.`slipway.version` = '1'")) != expected([bad])


def test_at_rate_0_what_has_no_trace_gets_none(ledger: Ledger) -> None:
    name = thinned(ledger)
    say(ledger, name)
    settings = ledger.settings.model_copy(update={"ledger_trace_rate": 0.0})
    stage = FeedbackStage(settings, ledger.database, ledger.places)
    exhaust(stage)
    (known,) = said(ledger, name)
    assert known.state == FAILED
    assert known.last_error is not None and "LEDGER_TRACE_RATE" in known.last_error
    stage.close()
