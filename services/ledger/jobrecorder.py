"""Records of a job's predictions: given to whoever ends the job, to be written with its result.

They become part of a journal afterwards: `services.ledger.shipping.jobrecords`.
"""

import threading
from collections.abc import Awaitable

from services.core.metrics import Metrics
from services.core.settings import Settings
from services.ledger.making import Made, Making
from services.ledger.records import parse


class JobRecorder(Making):
    """The worker's way into the ledger: `pop` what a prediction has left, and write it down.

    It refuses nothing: what a job was accepted for is done, and its record waits in the database
    while the journal is full.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        super().__init__(settings)
        # Like any recorder's; nothing is ever dropped here that would be counted.
        del metrics
        self._lock = threading.Lock()
        self._made: dict[str, bytes] = {}

    def open(self) -> None:
        """Begin: nothing is to be done."""

    def close(self) -> None:
        """End: what nobody asked for is forgotten."""
        with self._lock:
            self._made.clear()

    def check(self) -> None:
        """Go on: there is always room."""

    def leave(self, made: Made) -> None:
        """Record a prediction that was given up."""
        self.record(made)

    def pop(self, prediction_id: str) -> bytes | None:
        """Return the record of a prediction that has returned or raised, and forget it.

        May be called from any thread.

        Returns:
            None where no version took it on.
        """
        with self._lock:
            return self._made.pop(prediction_id, None)

    def _append(self, made: Made, encoded: bytes) -> Awaitable[None] | None:
        with self._lock:
            self._made[made.id] = encoded
        return None

    def _heavy(self, made: Made) -> Awaitable[None] | None:
        # Here and now: a record whose prediction is given up meanwhile is asked for all the same.
        return self._append(made, self._whole(made))


def row(payload: bytes, job: str | None) -> tuple[str, int, str | None, bytes]:
    """Return a record as the table `job_records` takes it.

    Args:
        job: id of the job that made it.
    """
    record = parse(payload)
    return record.id, round(record.time * 1e6), job, payload
