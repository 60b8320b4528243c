"""Celery's beat, of which any number may run and exactly one acts: whoever holds the lease.

It sends what `upkeep` is to do, and sets right every few seconds what no process will: leases that
ran out, messages that got lost, jobs whose time is over.
"""

import os
import signal
import socket
import threading
import time
from datetime import timedelta
from types import FrameType
from typing import Any

from celery.beat import Scheduler, Service

from services.core.errors import SlipwayError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.jobs.celery_app import make_app
from services.jobs.health import BEAT
from services.ledger.database import leases, workers
from services.worker.child import Child
from services.worker.presence import here, this_worker
from services.worker.upkeep import schedule

_log = get_logger(__name__)
LEASE = "beat"
_LEASE_SECONDS = 15.0
# Renewed so often, the lease outlives two looks that fail.
_LEAD_EVERY = 4.0
_RECONCILE_EVERY = 5.0
_LONGEST_PAUSE = 1.0
_CLOSING = 5.0
_DAY = timedelta(days=1)


class Leader:
    """Whether this process is the one that acts."""

    def __init__(self, child: Child, name: str) -> None:
        self._child = child
        self._name = name
        self._about = this_worker(name, BEAT)
        self._until = 0.0

    @property
    def leads(self) -> bool:
        """Whether the lease is held, by a clock that also runs while the database is away."""
        return time.monotonic() < self._until

    def look(self) -> None:
        """Take the lease, or go on holding it."""
        began, now = time.monotonic(), time.time()
        until = int((now + _LEASE_SECONDS) * 1e6)
        try:
            with self._child.database.begin(durable=False) as connection:
                token = leases.acquire(connection, LEASE, self._name, int(now * 1e6), until)
                workers.seen(connection, here(self._about, 0))
        except SlipwayError as error:
            _log.warning("the lease of the beat cannot be renewed now", error=error.message)
            return
        if token is not None and not self.leads:
            _log.info("this beat leads", token=token)
        # A little less than it is: another's clock must not be ahead of this one's.
        self._until = began + _LEASE_SECONDS * 0.8 if token is not None else 0.0

    def resign(self) -> None:
        """Let another lead at once; this process ends."""
        self._until = 0.0
        try:
            with self._child.database.begin(durable=False) as connection:
                leases.release(connection, LEASE, self._name)
                workers.gone(connection, self._name)
        except SlipwayError:
            return


class LeadingScheduler(Scheduler):  # type: ignore[misc]
    """Celery's scheduler, in memory, while this process leads; otherwise it waits."""

    leader: Leader

    def setup_schedule(self) -> None:
        """Take the schedule from the app; no file remembers when something was sent last."""
        self.merge_inplace(self.app.conf.beat_schedule)
        for entry in self.schedule.values():
            # All of it is due at once: nobody knows what the last beat came to.
            entry.last_run_at = self.app.now() - _DAY

    def tick(self, *args: Any, **options: Any) -> float:
        """Send one task that is due; return the seconds until the next look."""
        if not self.leader.leads:
            return _LONGEST_PAUSE
        return min(float(super().tick(*args, **options)), _LONGEST_PAUSE)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send a task; a Redis that is away gets it when it is due again."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:
            _log.warning("upkeep cannot be sent now", task=entry.task, error=type(error).__name__)

    def _ensure_connected(self) -> Any:
        # Celery would wait for Redis in here, however long, and the lease would run out meanwhile.
        return self.connection


class Beat:
    """The process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = f"{BEAT}-{os.getpid()}@{socket.gethostname()}"
        self._child = Child(settings, self._name)
        self._leader = Leader(self._child, self._name)
        self._stopping = threading.Event()
        app = make_app(settings)
        app.conf.update(beat_schedule=schedule(settings), beat_max_loop_interval=_LONGEST_PAUSE)
        leader = self._leader

        class Led(LeadingScheduler):
            pass

        Led.leader = leader
        self._service = Service(app, scheduler_cls=Led, remote_control=False)

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        threads = [
            threading.Thread(target=self._lead, name="leader", daemon=True),
            threading.Thread(target=self._reconcile, name="reconciler", daemon=True),
        ]
        for thread in threads:
            thread.start()
        _log.info("beat ready")
        try:
            self._service.start()
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join(_CLOSING)
            self._leader.resign()
            self._child.close()
        return 0

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            # Out of a sleep; Celery takes it for the wish that it is.
            raise SystemExit(0)

    def _lead(self) -> None:
        while True:
            self._leader.look()
            if self._stopping.wait(_LEAD_EVERY):
                return

    def _reconcile(self) -> None:
        from services.jobs.reconciler import Reconciler

        reconciler: Reconciler | None = None
        while not self._stopping.is_set():
            try:
                if self._leader.leads:
                    reconciler = reconciler or Reconciler(self._settings)
                    reconciler.tick()
            except SlipwayError as error:
                _log.warning("jobs are not set right now", error=error.message)
            except Exception:
                _log.exception("the reconciler stumbled")
            # Soon after the start, so that what was left over goes on at once.
            self._stopping.wait(_RECONCILE_EVERY if reconciler is not None else 0.2)


def run(settings: Settings) -> int:
    """Be a beat; return the exit code.

    Raises:
        ConfigurationError: REDIS_URL is empty.
    """
    return Beat(settings).run()
