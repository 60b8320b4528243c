"""Takes records from the journals to where they are kept: the database, and MLflow.

Each stage has a thread of its own: MLflow may hang for as long as it likes, and records are still
indexed. Nothing is remembered between two steps that does not stand in the database or in the
journal's files, so that the shipper may be killed at any time.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from services.core.logging import get_logger
from services.core.settings import Settings
from services.ledger.database.opening import Database, open_database
from services.ledger.places import Places
from services.ledger.shipping import status
from services.ledger.shipping.lane import Lane, Stage

_log = get_logger(__name__)
_STATUS_SECONDS = 1.0
_STANDBY_SECONDS = 5.0
# For the steps under way when it is told to stop; one that hangs in the network is left behind.
_STOP_SECONDS = 3.0
_ONCE = 3600.0

Stages = Callable[[Settings, Database, Places], Sequence[tuple[Stage, float]]]


class Shipper:
    """Runs the stages, for as long as no other shipper of the same folder does.

    Args:
        stages: what to run, and how long each rests; all there are, unless a test says otherwise.
        standby_seconds: between two looks whether the other one is gone.
    """

    def __init__(
        self,
        settings: Settings,
        stages: Stages | None = None,
        *,
        standby_seconds: float = _STANDBY_SECONDS,
    ) -> None:
        self._settings = settings
        self._places = Places(settings.data_dir)
        self._stages = stages
        self._standby_seconds = standby_seconds
        self._complaint: str | None = None

    def run(self, stop: threading.Event) -> bool:
        """Ship until it is told to stop; it takes some three seconds at most to do so.

        Returns:
            whether everything has ended; False: a thread of it hangs, and has the lock.
        """
        lock = self._wait_for_lock(stop)
        if lock is None:
            return True
        _log.info("shipper started")
        ended = self._ship(stop)
        if ended:
            os.close(lock)
        return ended

    def _ship(self, stop: threading.Event) -> bool:
        opening = _Opening(self._settings, self._places, self._stages, stop)
        lanes = opening.lanes
        lanes.append(Lane(opening, _ONCE, stop))
        lanes[0].start()
        up = True
        self._write(status.compose(lanes))
        while not stop.wait(_STATUS_SECONDS):
            self._write(status.compose(lanes))
            before, up = up, status.reachable(lanes)
            if up and not before:
                # Back-offs may have a minute to go.
                for lane in lanes:
                    lane.wake()
        for lane in list(lanes):
            lane.wake()
        until = time.monotonic() + _STOP_SECONDS
        # The first one goes first: it may be about to start the others.
        hanging = [lane.name for lane in lanes if not lane.join(until - time.monotonic())]
        self._write(status.compose(lanes))
        if hanging:
            _log.warning("shipper stops in the middle", stages=hanging)
            return False
        if opening.database is not None:
            opening.database.close()
        _log.info("shipper stopped")
        return True

    def _write(self, found: dict[str, Any]) -> None:
        try:
            status.write(self._places.status, found)
        except (OSError, TypeError) as error:
            self._complain(f"status.json cannot be written: {error}")
        else:
            self._complaint = None

    def _wait_for_lock(self, stop: threading.Event) -> int | None:
        """Return the lock, held; None when it was told to stop before."""
        while not stop.is_set():
            try:
                return self._lock()
            except BlockingIOError:
                self._complain("another shipper works on this folder; this one stands by")
            except OSError as error:
                self._complain(f"the ledger's folder cannot be written: {error.strerror}")
            stop.wait(self._standby_seconds)
        return None

    def _lock(self) -> int:
        path = self._places.shipper_lock
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise
        return lock

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            _log.warning("shipper waits", reason=text)


class _Opening:
    """The stage before the others: opens the database, as soon as that can be, and starts them."""

    name = "database"

    def __init__(
        self, settings: Settings, places: Places, stages: Stages | None, stop: threading.Event
    ) -> None:
        self.lanes: list[Lane] = []
        self.database: Database | None = None
        self._settings = settings
        self._places = places
        self._stages = stages
        self._stop = stop

    def step(self) -> bool:
        if self.database is not None:
            return False
        database = open_database(self._settings)
        try:
            found = self._all()(self._settings, database, self._places)
        except BaseException:
            database.close()
            raise
        self.database = database
        for stage, idle_seconds in found:
            lane = Lane(stage, idle_seconds, self._stop)
            self.lanes.append(lane)
            lane.start()
        return False

    def status(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass

    def _all(self) -> Stages:
        if self._stages is not None:
            return self._stages
        # They are 0.5 s of imports, and who stands by needs none of them.
        from services.ledger.shipping.stages import stages

        return stages
