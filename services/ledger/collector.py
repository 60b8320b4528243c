"""The shipper's figures as metrics of the gateway: read from `status.json` when somebody asks."""

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.core.settings import Settings
from services.ledger import ledger_metrics as m
from services.ledger.lookup import listed
from services.ledger.places import Places

# Seconds. The shipper writes every second; one that has not for so long is not there.
_KEPT = 1.0
_FRESH = 15.0
# The file has one kilobyte: nothing of another size is it.
_MOST_BYTES = 64 * 1024

_TRACES = ("sent", "thinned", "refused")


class LedgerCollector(Collector):
    """Metrics of the ledger, for a registry of `prometheus_client`.

    The journal's size is looked at here, so that it is right without a shipper too. Of the rest
    nothing is known before one has run.
    """

    def __init__(self, settings: Settings) -> None:
        self._places = Places(settings.data_dir)
        self._limit = settings.ledger_max_bytes
        self._lock = threading.Lock()
        self._status: Mapping[str, Any] = {}
        self._bytes = 0
        self._read_at = float("-inf")

    def describe(self) -> list[Metric]:
        """Return nothing: the names are not looked at when it is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as of the last second."""
        status = self._now()
        # By the clock that the shipper wrote it by; one that was set back is no reason to alarm.
        fresh = _number(status, "time") is not None and time.time() - status["time"] < _FRESH
        yield m.SHIPPER_UP.value(float(fresh))
        yield m.PENDING_BYTES.value(self._bytes)
        yield m.BYTES_LIMIT.value(float(self._limit))
        # `none`: no MLflow is configured that could be up.
        if status.get("mlflow") in ("up", "down"):
            up = fresh and status["mlflow"] == "up"
            yield m.MLFLOW_UP.value(float(up))
        if status.get("ready") is False:
            # Its zeros are those of one that has not looked yet.
            return
        for key, definition in m.FIGURES.items():
            value = _number(status, key)
            if value is not None:
                yield definition.value(value)
        yield from _traces(status)

    def _now(self) -> Mapping[str, Any]:
        """Return the status, at most a second old; the last one where the file is being written."""
        with self._lock:
            if time.monotonic() - self._read_at >= _KEPT:
                self._read_at = time.monotonic()
                self._bytes = sum(segment.size for segment, _ in listed(self._places.journal))
                self._status = self._read()
            return self._status

    def _read(self) -> Mapping[str, Any]:
        try:
            with self._places.status.open("rb") as file:
                found = orjson.loads(file.read(_MOST_BYTES))
        except FileNotFoundError:
            return {}
        except (OSError, orjson.JSONDecodeError):
            return self._status
        return found if isinstance(found, dict) else {}


def _traces(status: Mapping[str, Any]) -> Iterator[Metric]:
    values = {result: _number(status, f"traces_{result}") for result in _TRACES}
    found = [((result,), value) for result, value in values.items() if value is not None]
    if found:
        yield m.TRACES.family(found)


def _number(status: Mapping[str, Any], key: str) -> float | None:
    value = status.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
