"""Sending traces: what each answer means. With MLflow itself: `test_traces_mlflow.py`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx
import orjson
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from services.core.errors import InvalidInputError, RegistryUnavailableError
from services.ledger.database.opening import Database
from services.ledger.shipping import otlp, posting
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.posting import Posting, key_of
from tests.conftest import settings_for_tests
from tests.ledger.database.made import record
from tests.ledger.shipping.tracing import Answer, Nowhere, answering, sent_in
from tests.support.mlflow_server import free_port

KEY = ("credit", "1", "2026-11-21")
DATABASE = cast(Database, None)
TAKEN: Answer = (200, {"content-type": "application/x-protobuf"}, b"")


def told(status: int, **body: Any) -> Answer:
    return status, {"content-type": "application/json"}, orjson.dumps(body)


def spans(count: int, **values: Any) -> list[Span]:
    return [otlp.span(record(**values), tags=("model", "status")) for _ in range(count)]


class Server:
    """What was sent to it; refuses the traces it is told to, and answers as `broken` says."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.broken: Answer | None = None
        self.requests: list[list[str]] = []

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        assert (method, path) == ("POST", "/v1/traces")
        ids = sent_in(body)
        self.requests.append(ids)
        if self.broken is not None:
            return self.broken
        return told(422, detail="no") if self.refused & set(ids) else TAKEN

    def refuse(self, span: Span) -> None:
        self.refused.add(span.trace_id.hex())


@contextmanager
def connected(answer: Callable[[str, str, bytes], Answer]) -> Iterator[tuple[Posting, Nowhere]]:
    nowhere = Nowhere()
    with answering(answer) as uri:
        made = Posting(settings_for_tests(mlflow_tracking_uri=uri), cast(Destination, nowhere))
        try:
            yield made, nowhere
        finally:
            made.close()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def sender(server: Server) -> Iterator[Posting]:
    with connected(server.answer) as (made, _):
        yield made


def test_at_most_a_hundred_in_one_request(server: Server, sender: Posting) -> None:
    assert sender.send(DATABASE, KEY, spans(250)) == {}
    assert [len(ids) for ids in server.requests] == [100, 100, 50]


def test_large_ones_go_in_more_requests(server: Server, sender: Posting) -> None:
    assert sender.send(DATABASE, KEY, spans(50, input="x" * 60_000, output="y" * 60_000)) == {}
    assert len(server.requests) == 3
    assert sum(len(ids) for ids in server.requests) == 50


@pytest.mark.parametrize("places", [[0], [57], [99], [3, 4, 80], list(range(0, 100, 2))])
def test_those_at_fault_are_found(server: Server, sender: Posting, places: list[int]) -> None:
    some = spans(100)
    for place in places:
        server.refuse(some[place])
    found = sender.send(DATABASE, KEY, some)
    assert sorted(found) == places
    assert set(found.values()) == {"422 no"}
    taken = {one for ids in server.requests if not server.refused & set(ids) for one in ids}
    assert len(taken) == 100 - len(places)


def test_one_at_fault_costs_few_requests(server: Server, sender: Posting) -> None:
    some = spans(100)
    server.refuse(some[42])
    sender.send(DATABASE, KEY, some)
    assert len(server.requests) <= 2 * 7 + 1


def test_alone_at_fault_is_believed_where_others_are_taken(server: Server, sender: Posting) -> None:
    sender.send(DATABASE, KEY, spans(1))
    (bad,) = spans(1)
    server.refuse(bad)
    assert sender.send(DATABASE, KEY, [bad]) == {0: "422 no"}


def test_a_server_that_refuses_everything_is_not_believed(server: Server, sender: Posting) -> None:
    sender.send(DATABASE, KEY, spans(3))
    server.broken = told(422, detail="Failed to log OpenTelemetry spans")
    for _ in range(7):
        with pytest.raises(RegistryUnavailableError, match="no traces at all"):
            sender.send(DATABASE, KEY, spans(4))
    server.broken = None
    assert sender.send(DATABASE, KEY, spans(4)) == {}


def test_without_anything_to_compare_it_is_doubted_for_a_while(
    server: Server, sender: Posting
) -> None:
    (bad,) = spans(1)
    server.refuse(bad)
    for _ in range(5):
        with pytest.raises(RegistryUnavailableError):
            sender.send(DATABASE, KEY, [bad])
    assert sender.send(DATABASE, KEY, [bad]) == {0: "422 no"}


def test_what_breaks_the_server_every_time_is_refused_at_last() -> None:
    bad, *good = spans(20)
    broken = told(500, error_code="INTERNAL_ERROR", message="int too large")

    def answer(_method: str, _path: str, body: bytes) -> Answer:
        return broken if bad.trace_id.hex() in sent_in(body) else TAKEN

    with connected(answer) as (sender, _):
        for _ in range(5):
            with pytest.raises(RegistryUnavailableError, match="int too large"):
                sender.send(DATABASE, KEY, [bad, *good])
        assert sender.send(DATABASE, KEY, [bad, *good]) == {0: "500 int too large"}
        # And the next one is doubted again.
        with pytest.raises(RegistryUnavailableError, match="int too large"):
            sender.send(DATABASE, KEY, [*good, bad])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (told(503, error_code="TEMPORARILY_UNAVAILABLE", message="locked"), "locked"),
        (told(400, error_code="TEMPORARILY_UNAVAILABLE", message="locked"), "locked"),
        (told(500, message="oh"), "500: oh"),
        ((502, {}, b"<html>Bad Gateway"), "Bad Gateway"),
        (told(429, detail="slow"), "slow"),
        (told(401, detail="who"), "does not let us in"),
        (told(403, detail="host"), "does not let us in"),
        ((301, {"location": "/"}, b""), "301"),
        ((200, {"content-type": "text/html"}, b"<html>Welcome"), "not MLflow"),
    ],
)
def test_what_passes_is_for_later(
    server: Server, sender: Posting, answer: Answer, message: str
) -> None:
    server.broken = answer
    for _ in range(8):
        with pytest.raises(RegistryUnavailableError, match=message):
            sender.send(DATABASE, KEY, spans(3))
    server.broken = None
    assert sender.send(DATABASE, KEY, spans(3)) == {}


def test_it_is_said_when_to_come_back(server: Server, sender: Posting) -> None:
    server.broken = (503, {"retry-after": "17"}, b"")
    with pytest.raises(RegistryUnavailableError) as raised:
        sender.send(DATABASE, KEY, spans(1))
    assert raised.value.retry_after == 17


def test_a_run_that_is_gone_is_doubted() -> None:
    gone = told(404, error_code="RESOURCE_DOES_NOT_EXIST", message="No experiment")
    expected = pytest.raises(RegistryUnavailableError, match="No experiment")
    with connected(lambda *_: gone) as (sender, nowhere), expected:
        sender.send(DATABASE, KEY, spans(1))
    assert nowhere.doubted == [KEY]


def test_nobody_there() -> None:
    settings = settings_for_tests(mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}")
    sender = Posting(settings, cast(Destination, Nowhere()))
    with pytest.raises(httpx.TransportError):
        sender.send(DATABASE, KEY, spans(1))
    sender.close()


def test_a_slow_server_gets_fewer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def slow(_method: str, _path: str, body: bytes) -> Answer:
        sizes.append(len(sent_in(body)))
        if sizes[-1] > 25:
            time.sleep(3)
        return TAKEN

    monkeypatch.setattr(posting, "_TIMEOUT", httpx.Timeout(1.5))
    with connected(slow) as (sender, _):
        for _ in range(2):
            with pytest.raises(httpx.TimeoutException):
                sender.send(DATABASE, KEY, spans(100))
        assert sender.send(DATABASE, KEY, spans(100)) == {}
        # And more again when that went well.
        assert sender.send(DATABASE, KEY, spans(20)) == {}
        with pytest.raises(httpx.TimeoutException):
            sender.send(DATABASE, KEY, spans(100))
    assert sizes == [100, 50, 25, 25, 25, 25, 20, 35]


def test_a_time_on_no_day_has_no_run() -> None:
    assert key_of(record(time=1_795_219_200.0))[2] == "2026-11-21"
    with pytest.raises(InvalidInputError):
        key_of(record(time=1e300))
