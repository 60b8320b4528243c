"""Feedback while things hang and die: MLflow has each of it once."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.core.errors import SlipwayError
from services.ledger.database.tables import ATTACHED, PENDING, SENDING
from services.ledger.shipping.assessments import Assessments, StumblesError
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.feedback import FeedbackStage
from services.ledger.shipping.traces import Traces
from tests.ledger.journals import record
from tests.ledger.shipping.storing import Ledger, child, exhaust, opened
from tests.ledger.shipping.tracing import assessments_of, said, say, settings_of
from tests.support.mlflow_server import MlflowServer
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.slow
_STAGE = (
    "import os, signal\n"
    "from services.ledger.database.opening import open_database\n"
    "from services.ledger.database.tables import ATTACHED\n"
    "from services.ledger.places import Places\n"
    "from services.ledger.shipping import assessments\n"
    "from services.ledger.shipping.feedback import FeedbackStage\n"
    "class Dies(FeedbackStage):\n"
    "    def _mark(self, one, state, *rest, **more):\n"
    "        if state == ATTACHED:\n"
    "            os.kill(os.getpid(), signal.SIGKILL)\n"
    "        super()._mark(one, state, *rest, **more)\n"
)
_DIES = _STAGE + "Dies(settings, open_database(settings), Places(settings.data_dir)).step()\n"
# As with a server that gives every assessment a name of its own.
_DIES_UNNAMED = _DIES.replace("class Dies", "assessments._name = lambda feedback: None\nclass Dies")


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


def state_of(ledger: Ledger, prediction_id: str) -> list[int]:
    return [one.state for one in said(ledger, prediction_id)]


@pytest.mark.parametrize("script", [_DIES, _DIES_UNNAMED], ids=["named", "unnamed"])
def test_once_although_it_was_killed_before_it_could_note_so(
    ledger: Ledger, stage: FeedbackStage, script: str
) -> None:
    name = trace(ledger)
    say(ledger, name)
    say(ledger, name, value=False)
    process = child(ledger.settings, script)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL, errors
    assert state_of(ledger, name) == [SENDING, PENDING]
    assert len(assessments_of(ledger.settings, name)) == 1
    exhaust(stage)
    assert state_of(ledger, name) == [ATTACHED, ATTACHED]
    assert [one.value for one in assessments_of(ledger.settings, name)] == [True, False]
    assert ledger.totals()["feedback_attached"] == 2


def test_mlflow_itself_has_it_once(ledger: Ledger) -> None:
    """Two shippers at the same feedback: the name that it is given decides."""
    name = trace(ledger)
    made = say(ledger, name)
    calls = Assessments(ledger.settings, Destination(ledger.settings))
    assert not calls.there(made)
    calls.attach(made)
    with pytest.raises(StumblesError):
        calls.attach(made)
    assert calls.there(made)
    assert len(assessments_of(ledger.settings, name)) == 1
    calls.close()


def test_what_another_one_attached_is_attached(ledger: Ledger, stage: FeedbackStage) -> None:
    name = trace(ledger)
    made = say(ledger, name)
    calls = Assessments(ledger.settings, Destination(ledger.settings))
    calls.attach(made)
    calls.close()
    exhaust(stage)
    assert state_of(ledger, name) == [ATTACHED]
    assert len(assessments_of(ledger.settings, name)) == 1


def test_while_mlflow_hangs_it_waits_and_is_there_once(
    ledger: Ledger, stage: FeedbackStage, mlflow_server: MlflowServer
) -> None:
    names = [trace(ledger) for _ in range(2)]
    say(ledger, names[0])
    exhaust(stage)
    client = stage._assessments._client
    assert client is not None
    client.timeout = httpx.Timeout(0.5)
    say(ledger, names[1])
    mlflow_server.freeze()
    try:
        for _ in range(2):
            with pytest.raises((httpx.TransportError, SlipwayError)):
                stage.step()
    finally:
        mlflow_server.thaw()
    assert state_of(ledger, names[1]) == [SENDING]
    client.timeout = httpx.Timeout(PATIENCE)
    exhaust(stage)
    assert state_of(ledger, names[1]) == [ATTACHED]
    assert len(assessments_of(ledger.settings, names[1])) == 1
