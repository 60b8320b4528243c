"""Traces and feedback with the ledger's database on PostgreSQL, and MLflow real."""

from pathlib import Path

import pytest

from services.ledger.database.tables import ATTACHED, REFUSED, SENT, THINNED
from services.ledger.shipping import deadletters
from services.ledger.shipping.feedback import FeedbackStage
from services.ledger.shipping.traces import Traces
from tests.ledger.journals import record
from tests.ledger.shipping.storing import exhaust, opened
from tests.ledger.shipping.tracing import (
    POISON,
    assessments_of,
    ids_of,
    said,
    say,
    settings_of,
    states_of,
    traces_of,
)
from tests.support.mlflow_server import MlflowServer
from tests.support.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
pytestmark = pytest.mark.slow


def test_traces_and_feedback(
    tmp_path: Path,
    mlflow_server: MlflowServer,
    postgres_url: str,
) -> None:
    settings = settings_of(tmp_path, mlflow_server.uri, ledger_database_url=postgres_url)
    made = [record() for _ in range(30)]
    made[7]["request_id"] = POISON
    with opened(settings) as ledger:
        for one in made[:3]:
            say(ledger, one["id"], value={"a": [1, "x"]})
        ledger.write(made)
        traces, feedback = Traces(*ledger.stage), FeedbackStage(*ledger.stage)
        exhaust(feedback)
        exhaust(traces)
        exhaust(feedback)
        assert len(ids_of(traces_of(settings))) == 29
        states = states_of(ledger)
        assert states.pop(made[7]["id"]) == REFUSED
        assert set(states.values()) == {SENT}
        for one in made[:3]:
            assert [known.state for known in said(ledger, one["id"])] == [ATTACHED]
            assert [known.value for known in assessments_of(settings, one["id"])] == [
                {"a": [1, "x"]}
            ]
        assert ledger.totals() == {
            "traces_sent": 29, "traces_refused": 1, "feedback_attached": 3,
        }  # fmt: skip
        assert feedback.status()["feedback_pending"] == 0
        traces.close()

        # What no text of PostgreSQL holds is stepped over.
        quiet = settings.model_copy(update={"ledger_trace_rate": 0.0})
        ledger.write([record(model="nul\0", caller="\0", request_id="\0")])
        traces = Traces(quiet, ledger.database, ledger.places)
        exhaust(traces)
        assert THINNED in states_of(ledger).values()
        assert deadletters.count(ledger.places) == 1
        traces.close()
        feedback.close()
