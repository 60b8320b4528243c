"""Sends traces to MLflow's server: in requests of a fit size, and finds the one that it refuses.

A request is taken whole or not at all. Which trace is at fault is found by halving; that it is not
the server's fault shows in another trace that it takes.
"""

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
import orjson
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from services.core.errors import InvalidInputError, RegistryUnavailableError
from services.core.settings import Settings
from services.ledger.database.opening import Database
from services.ledger.records import Record, day
from services.ledger.shipping import otlp
from services.ledger.shipping.destination import Destination, Key

_TIMEOUT = httpx.Timeout(10.0, connect=2.0)
# More in one request MLflow does not link to a run.
MOST_TRACES = 100
_FEWEST_TRACES = 5
_MOST_BYTES = 2 * 1024 * 1024
_PROTOBUF = "application/x-protobuf"
_REFUSED = frozenset({400, 413, 422})
_NO_CREDENTIALS = frozenset({401, 403, 407})
# How often a refusal is doubted that nothing speaks for but itself.
_DOUBTS = 5
_REASON_CHARACTERS = 300


@dataclass(slots=True)
class _Batch:
    """What became of the traces of one call."""

    accepted: bool = False
    refused: dict[int, str] = field(default_factory=dict)


def key_of(record: Record) -> Key:
    """Return what says to which serving run a record belongs.

    Raises:
        InvalidInputError: its time is on no day.
    """
    try:
        return record.model, record.version, day(record)
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidInputError("The time is on no day.", where="time") from error


def http_client() -> httpx.Client:
    """Return a client that keeps connections, gives up after 10 seconds and trusts whom MLflow's
    own client trusts.
    """
    verify: ssl.SSLContext | bool = True
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in {"true", "1"}:
        verify = False
    elif authority := os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"):
        verify = ssl.create_default_context(cafile=authority)
    return httpx.Client(timeout=_TIMEOUT, verify=verify)


class Posting:
    """A connection to the server for traces. To be used from one thread."""

    def __init__(self, settings: Settings, destination: Destination) -> None:
        self._settings = settings
        self._destination = destination
        self._client: httpx.Client | None = None
        self._most = MOST_TRACES
        # A trace that the server took, and how: it takes that again, if it takes anything.
        self._known_good: tuple[dict[str, str], Span] | None = None
        self._doubts = 0

    def send(self, database: Database, key: Key, spans: Sequence[Span]) -> dict[int, str]:
        """Send root spans of one model version and day, and link them to their serving run.

        Sending a trace again changes nothing.

        Returns:
            why MLflow will never take a span, by its place in `spans`; it has all the others.

        Raises:
            RegistryUnavailableError, httpx.TransportError: not now; it may have some of them.
            LedgerUnavailableError: the database does not answer.
        """
        headers = {
            **self._destination.headers(),
            "content-type": _PROTOBUF,
            "x-mlflow-experiment-id": self._destination.experiment_id(),
            "x-mlflow-run-id": self._destination.run_for(database, *key),
        }
        batch = _Batch()
        rest = list(range(len(spans)))
        try:
            while rest:
                places = self._fitting(spans, rest)
                self._halving(headers, spans, places, batch)
                del rest[: len(places)]
            if batch.refused and not batch.accepted:
                self._doubt(next(iter(batch.refused.values())))
        except httpx.TimeoutException:
            # It may be at work on them still; fewer are done sooner.
            self._most = max(_FEWEST_TRACES, self._most // 2)
            raise
        except NotFoundAtMlflowError:
            self._destination.doubt(*key)
            self._known_good = None
            raise
        self._doubts = 0
        self._most = min(MOST_TRACES, self._most + _FEWEST_TRACES)
        return batch.refused

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()

    def _fitting(self, spans: Sequence[Span], rest: Sequence[int]) -> list[int]:
        """Return the first of `rest` that fit into one request; at least one."""
        size, found = 0, rest[: self._most]
        for count, place in enumerate(found):
            size += spans[place].ByteSize()
            if size > _MOST_BYTES and count:
                return list(found[:count])
        return list(found)

    def _halving(
        self, headers: dict[str, str], spans: Sequence[Span], places: list[int], batch: _Batch
    ) -> None:
        reason = self._post(headers, [spans[place] for place in places])
        if reason is None:
            batch.accepted = True
            self._known_good = headers, spans[places[0]]
        elif len(places) == 1:
            batch.refused[places[0]] = reason
        else:
            middle = len(places) // 2
            self._halving(headers, spans, places[:middle], batch)
            self._halving(headers, spans, places[middle:], batch)

    def _doubt(self, reason: str) -> None:
        """Return if it is the traces' own fault that the server took none of them."""
        if self._known_good is not None:
            headers, span = self._known_good
            if self._post(headers, [span]) is None:
                return
        elif self._doubts >= _DOUBTS:
            return
        else:
            self._doubts += 1
        raise RegistryUnavailableError(
            f"MLflow takes no traces at all: {reason}", where="MLFLOW_TRACKING_URI"
        )

    def _post(self, headers: dict[str, str], spans: Sequence[Span]) -> str | None:
        """Send one request; return why it is refused, or None.

        Raises:
            RegistryUnavailableError, httpx.TransportError: not now.
        """
        if self._client is None:
            self._client = http_client()
        url = self._settings.tracking_uri.rstrip("/") + "/v1/traces"
        answer = self._client.post(url, content=otlp.request(spans), headers=headers)
        if answer.status_code == httpx.codes.OK:
            if answer.headers.get("content-type", "").startswith(_PROTOBUF):
                return None
            raise _later("What answers at its address is not MLflow.")
        code, words = error_of(answer)
        reason = f"{answer.status_code} {words}"
        if answer.status_code in _REFUSED and code != "TEMPORARILY_UNAVAILABLE":
            return reason
        if code == "INTERNAL_ERROR" and self._doubts >= _DOUBTS:
            # It stumbles over the same again and again: as good as a refusal.
            return reason
        if code == "INTERNAL_ERROR":
            self._doubts += 1
        raise passing(answer)


class NotFoundAtMlflowError(RegistryUnavailableError):
    """The experiment or the run is gone, or the address is not MLflow's."""


def error_of(answer: httpx.Response) -> tuple[str, str]:
    """Return MLflow's code of an error, if it is one of its own, and what it says."""
    code, words = "", answer.text
    try:
        told = orjson.loads(answer.content)
        code = str(told.get("error_code", ""))
        words = str(told.get("message") or told.get("detail") or words)
    except (orjson.JSONDecodeError, AttributeError):
        pass
    return code, " ".join(words.split())[:_REASON_CHARACTERS]


def passing(answer: httpx.Response) -> RegistryUnavailableError:
    """Return the error for an answer that may be another one later."""
    _, words = error_of(answer)
    if answer.status_code in _NO_CREDENTIALS:
        return _later(f"MLflow does not let us in: {words}")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return NotFoundAtMlflowError(
            f"MLflow does not find it: {words}", where="MLFLOW_TRACKING_URI"
        )
    after = answer.headers.get("retry-after", "")
    return _later(
        f"MLflow answers {answer.status_code}: {words}",
        float(after) if after.isdigit() else None,
    )


def _later(message: str, retry_after: float | None = None) -> RegistryUnavailableError:
    return RegistryUnavailableError(
        message,
        where="MLFLOW_TRACKING_URI",
        expected="the address of a running MLflow server",
        retry_after=retry_after,
    )
