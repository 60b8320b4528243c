"""Logs what happened in each minute as metrics of the serving runs, so that MLflow charts it.

The step is the minute of the day (UTC), the timestamp its beginning. Telling MLflow the same again
changes nothing; when records of a minute come late, its new values are logged beside the old ones
at the same step, and the chart shows both.
"""

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from services.core.errors import NotFoundError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.ledger.database import index, minutes
from services.ledger.database.minutes import Minute
from services.ledger.database.opening import Database
from services.ledger.places import Places
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.parts import Key
from services.ledger.shipping.sending import RefusedError, refusals
from services.registry.client import mlflow_errors

if TYPE_CHECKING:
    from mlflow.entities import Metric

_log = get_logger(__name__)
# A minute counts as over when a segment that began in it must have ended, and half as long again.
_SEGMENTS = 1.5
_LEAST_SECONDS = 90.0
# MLflow takes a thousand metrics at once: six for each minute.
_MOST_MINUTES = 160
_TOLD, _REFUSED = "minutes_told", "minutes_refused"


class Aggregates:
    """The stage.

    Args:
        settle_seconds: after the end of a minute, until its records count as complete.
    """

    name = "aggregates"

    def __init__(
        self,
        settings: Settings,
        database: Database,
        places: Places,
        *,
        settle_seconds: float | None = None,
    ) -> None:
        self._database = database
        self._destination = Destination(settings)
        self._settle_seconds = (
            max(_LEAST_SECONDS, _SEGMENTS * settings.ledger_segment_seconds)
            if settle_seconds is None
            else settle_seconds
        )

    def step(self) -> bool:
        """Tell MLflow of some minutes; return whether there may be more.

        Raises:
            RegistryUnavailableError: MLflow does not take them now.
            LedgerUnavailableError: the database does not answer.
        """
        before = minutes.minute_of(time.time() - self._settle_seconds)
        with self._database.reading() as connection:
            found = minutes.closed(connection, before, _MOST_MINUTES)
        exists = self._destination.exists
        by_run: dict[Key, list[Minute]] = defaultdict(list)
        for minute in found:
            by_run[minute.model, minute.version, _day(minute)].append(minute)
        for key, some in by_run.items():
            counter = self._tell(key, some) if exists else None
            with self._database.begin() as connection:
                minutes.mark_shipped(connection, some)
                if counter is not None:
                    index.bump(connection, counter, len(some))
        return len(found) == _MOST_MINUTES

    def status(self) -> dict[str, Any]:
        """Return how many minutes MLflow was told of, and how many it refused."""
        with self._database.reading() as connection:
            totals = index.totals(connection)
        return {name: totals.get(name, 0) for name in (_TOLD, _REFUSED)}

    def close(self) -> None:
        """Nothing to let go of."""

    def _tell(self, key: Key, some: Sequence[Minute]) -> str:
        """Log the minutes of one run; return what became of them, as the name of a counter."""
        try:
            try:
                self._log(key, some)
            except (RefusedError, NotFoundError):
                # The run may have been deleted a moment ago.
                self._destination.doubt(*key)
                self._log(key, some)
        except RefusedError as error:
            _log.error("MLflow refuses metrics for good", model=key[0], error=error.message)
            return _REFUSED
        return _TOLD

    def _log(self, key: Key, some: Sequence[Minute]) -> None:
        with refusals():
            run_id = self._destination.run_for(self._database, *key)
            client = self._destination.client()
            metrics = [metric for minute in some for metric in _metrics(minute)]
            with mlflow_errors("The run"):
                client.log_batch(run_id, metrics=metrics)


def _metrics(minute: Minute) -> list["Metric"]:
    from mlflow.entities import Metric

    values = {
        "predictions": float(minute.count),
        "errors": float(minute.errors),
        "error_rate": minute.errors / minute.count if minute.count else math.nan,
        "p50_ms": 1000 * minutes.quantile(minute.histogram, 0.50),
        "p95_ms": 1000 * minutes.quantile(minute.histogram, 0.95),
    }
    if minute.confidence_count:
        values["mean_confidence"] = minute.confidence_sum / minute.confidence_count
    milliseconds, step = minute.minute * 60_000, minute.minute % 1440
    return [
        Metric(name, value, milliseconds, step)
        for name, value in values.items()
        if math.isfinite(value)
    ]


def _day(minute: Minute) -> str:
    return datetime.fromtimestamp(minute.minute * 60, UTC).strftime("%Y-%m-%d")
