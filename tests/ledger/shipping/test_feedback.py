"""What each answer of a server means for feedback. With MLflow: `test_feedback_mlflow.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from services.core.errors import RegistryUnavailableError
from services.ledger.database import index
from services.ledger.database.tables import ATTACHED, FAILED, PENDING, SENDING, SENT
from services.ledger.shipping import deadletters
from services.ledger.shipping.assessments import assessment
from services.ledger.shipping.feedback import FeedbackStage
from tests.conftest import settings_for_tests
from tests.ledger.database.made import feedback
from tests.ledger.journals import record
from tests.ledger.shipping.storing import Ledger, exhaust, opened
from tests.ledger.shipping.tracing import Answer, answering, said, say
from tests.support.mlflow_server import free_port


def told(status: int, **body: Any) -> Answer:
    return status, {"content-type": "application/json"}, orjson.dumps(body)


class Server:
    """Has assessments by trace; answers to one of a name in `broken` as that says."""

    def __init__(self) -> None:
        self.has: dict[str, list[dict[str, Any]]] = {}
        self.broken: dict[str, Answer] = {}
        self.calls: list[tuple[str, str]] = []

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        trace = path.split("/")[5]
        self.calls.append((method, trace))
        known = self.has.setdefault(trace, [])
        if method == "GET":
            return told(200, trace={"trace_info": {"assessments": known}})
        made = orjson.loads(body)["assessment"]
        name = made["assessment_name"]
        if name in self.broken:
            return self.broken[name]
        known.append(made)
        return told(200, assessment=made)

    @property
    def names(self) -> list[str]:
        return [one["assessment_name"] for some in self.has.values() for one in some]


@contextmanager
def at_work(tmp_path: Path, server: Server) -> Iterator[tuple[Ledger, FeedbackStage, list[str]]]:
    """Yield a ledger, its stage, and two predictions that have their traces."""
    with answering(server.answer) as uri:
        settings = settings_for_tests(data_dir=tmp_path, mlflow_tracking_uri=uri)
        with opened(settings) as ledger:
            made = [record() for _ in range(2)]
            ledger.write(made)
            names = [one["id"] for one in made]
            with ledger.database.begin() as connection:
                index.mark_traces(connection, names, SENT)
            stage = FeedbackStage(*ledger.stage)
            yield ledger, stage, names
            stage.close()


def states(ledger: Ledger, name: str) -> list[int]:
    return [one.state for one in said(ledger, name)]


def test_each_is_sent_once(tmp_path: Path) -> None:
    server = Server()
    with at_work(tmp_path, server) as (ledger, stage, (name, _)):
        for number in range(3):
            say(ledger, name, name=f"n{number}")
        exhaust(stage)
        exhaust(stage)
        assert server.names == ["n0", "n1", "n2"]
        assert {method for method, _ in server.calls} == {"POST"}
        assert stage.status() == {
            "feedback_pending": 0, "feedback_attached": 3, "feedback_failed": 0,
        }  # fmt: skip


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_refused_for_good_is_put_aside(tmp_path: Path, status: int) -> None:
    server = Server()
    server.broken["bad"] = told(status, error_code="INVALID_PARAMETER_VALUE", message="no such")
    with at_work(tmp_path, server) as (ledger, stage, (name, _)):
        bad = say(ledger, name, name="bad", value={"a": 1})
        say(ledger, name, name="good")
        exhaust(stage)
        assert states(ledger, name) == [FAILED, ATTACHED]
        assert said(ledger, name)[0].last_error == f"{status} no such"
        (letter,) = deadletters.letters(ledger.places, deadletters.FEEDBACK)
        assert letter.error == f"{status} no such"
        assert (letter.record["id"], letter.record["value"]) == (bad.id, {"a": 1})
        # Once it is accepted: looked for first, then sent.
        server.broken.clear()
        assert deadletters.resend(*ledger.stage, deadletters.FEEDBACK).sent == 1
        exhaust(stage)
        assert states(ledger, name) == [ATTACHED, ATTACHED]
        assert server.names == ["good", "bad"]


def test_what_breaks_the_server_holds_up_its_own_prediction_only(tmp_path: Path) -> None:
    server = Server()
    server.broken["bad"] = told(500, error_code="INTERNAL_ERROR", message="oh")
    with at_work(tmp_path, server) as (ledger, stage, (name, other)):
        say(ledger, name, name="bad")
        say(ledger, name, name="behind")
        say(ledger, other, name="other")
        exhaust(stage)
        assert states(ledger, name) == [SENDING, PENDING]
        assert states(ledger, other) == [ATTACHED]
        for _ in range(18):
            with pytest.raises(RegistryUnavailableError):
                stage.step()
        exhaust(stage)
        assert states(ledger, name) == [FAILED, ATTACHED]
        assert deadletters.counts(ledger.places) == {"feedback": 1}


@pytest.mark.parametrize(
    "answer",
    [
        told(503, error_code="TEMPORARILY_UNAVAILABLE", message="locked"),
        (502, {}, b"<html>"),
        told(429, detail="slow down"),
        told(401, detail="who are you"),
        told(404, detail="Not Found"),
        (200, {"content-type": "text/html"}, b"<html>Welcome"),
    ],
)
def test_what_passes_is_for_later(tmp_path: Path, answer: Answer) -> None:
    server = Server()
    server.broken["n"] = answer
    with at_work(tmp_path, server) as (ledger, stage, (name, _)):
        say(ledger, name, name="n")
        for _ in range(25):
            with pytest.raises(RegistryUnavailableError):
                stage.step()
        assert states(ledger, name) == [SENDING]
        assert said(ledger, name)[0].attempts == 0
        server.broken.clear()
        exhaust(stage)
        assert states(ledger, name) == [ATTACHED]
        assert server.names == ["n"]


def test_what_arrived_although_the_answer_said_otherwise_is_not_sent_again(
    tmp_path: Path,
) -> None:
    server = Server()
    with at_work(tmp_path, server) as (ledger, stage, (name, _)):
        made = say(ledger, name, name="n")
        trace = "tr-" + name.replace("-", "")
        server.broken["n"] = told(500, error_code="INTERNAL_ERROR", message="constraint violation")
        server.has[trace] = [{"metadata": {"slipway.feedback_id": made.id}}]
        exhaust(stage)
        assert states(ledger, name) == [ATTACHED]
        assert len(server.has[trace]) == 1


def test_nobody_there(tmp_path: Path) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    with opened(settings_for_tests(data_dir=tmp_path, mlflow_tracking_uri=uri)) as ledger:
        one = record()
        ledger.write([one])
        with ledger.database.begin() as connection:
            index.mark_traces(connection, [one["id"]], SENT)
        say(ledger, one["id"])
        stage = FeedbackStage(*ledger.stage)
        for _ in range(3):
            with pytest.raises(httpx.TransportError):
                stage.step()
        assert states(ledger, one["id"]) == [SENDING]
        assert stage.status()["feedback_pending"] == 1
        stage.close()


def test_without_a_server_it_stays(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with opened(settings_for_tests(data_dir=tmp_path, mlflow_tracking_uri=uri)) as ledger:
        say(ledger, record()["id"])
        stage = FeedbackStage(*ledger.stage)
        assert not stage.step()
        assert stage.status()["feedback_pending"] == 1
        stage.close()


def test_many_that_wait_do_not_hide_one_that_can_go(tmp_path: Path) -> None:
    server = Server()
    with at_work(tmp_path, server) as (ledger, stage, (name, _)):
        for _ in range(450):
            say(ledger, record()["id"])
        say(ledger, name, name="last")
        exhaust(stage)
        assert server.names == ["last"]


@pytest.mark.parametrize("created", [-(10**18), 0, 10**18])
def test_any_time_can_be_said(created: int) -> None:
    told_time = assessment(feedback(record()["id"], created=created))["assessment"]["create_time"]
    assert told_time.endswith("Z") and len(told_time) == len("2026-11-21T00:00:00.000000Z")
