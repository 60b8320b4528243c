"""Keeps the lease of what a child works on, and sees that it stops when it is to be given up.

One thread in each child. It looks at the row of the job every half second, rather than to wait for
a message of Redis: a cancel, too, must not get lost, and the look costs a tenth of a millisecond.
Work that lasts less than a quarter of a second is never looked at.
"""

import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any

from services.core.errors import SlipwayError
from services.core.logging import get_logger
from services.jobs import results
from services.jobs.views import job_view
from services.ledger.database import jobs as rows
from services.ledger.database.job_rows import RUNNING, Job
from services.worker.board import Board, Phase
from services.worker.hold import Hold
from services.worker.outcome import Reason

if TYPE_CHECKING:
    from services.ledger.database.statements import Connection
    from services.worker.child import Child

_log = get_logger(__name__)

_TICK = 0.25
_LOOK = 0.45
# Progress is stored at most so often, in seconds.
_STORE = 0.5
# And told to a webhook so often.
_HOOK = 5.0
# So long has the work to hear that it is to stop; all of a cancel must take less than two seconds.
_PATIENCE = 0.75
# So much longer it may take to clean up behind itself, once it has heard.
_TIDYING = 10.0
# Work has its own clock, which knows better what to say: this one is for work that has none.
_AFTER_DEADLINE = 2.0
INTERRUPT = signal.SIGUSR2

EndedBy = Callable[[Hold, Reason], None]


class Keeper(threading.Thread):
    """Renews leases, and interrupts.

    Attributes:
        on_abandon: called before the child ends itself because the work does not listen.
    """

    def __init__(self, child: "Child", board: Board, ended_by: EndedBy) -> None:
        super().__init__(name="lease-keeper", daemon=True)
        self.on_abandon: Callable[[], None] | None = None
        self._child = child
        self._board = board
        self._ended_by = ended_by
        self._lease = child.settings.job_lease
        self._main = threading.main_thread().ident
        self._hold: Hold | None = None
        self._changed = threading.Condition()
        signal.signal(INTERRUPT, self._signalled)

    def hold(self, jobs: Sequence[Job], limit: float) -> Hold:
        """Begin to keep jobs that were just taken; `limit` is in seconds."""
        hold = Hold(jobs, time.monotonic() + limit)
        with self._changed:
            self._hold = hold
            self._changed.notify()
        return hold

    def release(self, hold: Hold) -> None:
        """Stop keeping them; waits for the keeper, should it be ending this very process."""
        with self._changed:
            hold.over = True
            self._hold = None
            self.on_abandon = None

    def run(self) -> None:
        """Watch over whatever is held, until the process ends."""
        while True:
            with self._changed:
                while self._hold is None:
                    self._changed.wait()
                hold = self._hold
            try:
                _Watch(self, hold).run()
            except Exception:
                _log.exception("the keeper of leases stumbled")
                time.sleep(_TICK)

    def interrupt(self, hold: Hold, reason: Reason, culprit: str | None = None) -> None:
        """Have the work of the main thread stop at its next step."""
        if hold.reason is not None:
            return
        hold.culprit, hold.reason, hold.interrupted = culprit, reason, time.monotonic()
        _log.info("work interrupted", job_id=culprit or hold.jobs[0].id, reason=reason.value)
        if self._main is not None:
            signal.pthread_kill(self._main, INTERRUPT)

    def abandon(self, hold: Hold) -> None:
        """End this process, which does not listen; a new one takes its place."""
        with self._changed:
            if hold.over or hold.reason is None or not hold.armed:
                return
            if self.on_abandon is not None and not hold.heard:
                try:
                    self.on_abandon()
                except Exception:
                    _log.exception("what was begun could not be put in order")
            if not hold.ended:
                self._ended_by(hold, hold.reason)
                hold.ended = True
            if hold.heard and time.monotonic() < hold.interrupted + _PATIENCE + _TIDYING:
                # Ended as far as anybody else is concerned; it may still put things in order.
                return
            _log.warning("work does not stop; its process ends", job_id=hold.jobs[0].id)
            self._child.die()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        """Raise in the main thread; it runs there, so that nothing can happen in between."""
        hold = self._hold
        if hold is not None and hold.armed:
            hold.check()

    def beat(self) -> None:
        """Show the parent process that this one is not stuck."""
        self._board.beat(self._child.slot)

    @property
    def lease(self) -> float:
        """Seconds for which a lease is taken."""
        return self._lease

    @property
    def child(self) -> "Child":
        """Whose keeper it is."""
        return self._child

    @property
    def handing_back(self) -> bool:
        """Whether what is not finished is to be handed back."""
        return self._board.phase is Phase.HANDING_BACK


class _Watch:
    """One hold, from the first quarter of a second to its end."""

    def __init__(self, keeper: Keeper, hold: Hold) -> None:
        self._keeper = keeper
        self._hold = hold
        self._until = hold.began + keeper.lease
        self._renewed = self._looked = self._stored = hold.began
        self._hooked = 0.0
        self._away = self._said = False

    def run(self) -> None:
        hold = self._hold
        while True:
            time.sleep(_TICK)
            if hold.over:
                return
            now = time.monotonic()
            if hold.reason is not None:
                self._see_it_stop(now)
                continue
            self._keeper.beat()
            self._say_begun()
            self._judge(now)
            if hold.reason is None:
                self._write(now)

    def _say_begun(self) -> None:
        """Tell listeners, once; of what lasts no longer they only hear the end."""
        if not self._said:
            self._said = True
            self._keeper.child.notices.tell_many(
                [(job.id, results.START, job_view(job), RUNNING) for job in self._hold.jobs]
            )

    def _judge(self, now: float) -> None:
        keeper, hold = self._keeper, self._hold
        if keeper.handing_back:
            keeper.interrupt(hold, Reason.HANDED_BACK)
        elif now > hold.deadline + _AFTER_DEADLINE:
            keeper.interrupt(hold, Reason.DEADLINE)
        elif now > self._until:
            # The database was away, or this process stood still.
            keeper.interrupt(hold, Reason.LOST)

    def _write(self, now: float) -> None:
        """Store progress, renew and look, each when it is due."""
        progress = self._hold.take_progress() if now - self._stored >= _STORE else None
        due = now - self._renewed >= self._keeper.lease / 3
        try:
            if progress is not None or due:
                self._renew(now, progress)
            elif now - self._looked >= _LOOK:
                self._look(now)
            self._away = False
        except SlipwayError as error:
            if not self._away:
                _log.warning("leases cannot be renewed now", error=error.message)
            self._away = True
            if progress is not None:
                self._hold.progressed(*progress)

    def _renew(self, now: float, progress: tuple[dict[str, Any], dict[str, Any]] | None) -> None:
        child, hold = self._keeper.child, self._hold
        until = int((time.time() + self._keeper.lease) * 1e6)
        data = None if progress is None else progress[0]
        with child.writing() as connection:
            kept = [rows.renew(connection, job.id, job.token, until, data) for job in hold.jobs]
            if all(kept) and data is not None:
                self._hook(connection, now, data)
        self._renewed = self._looked = now
        if all(kept):
            self._until = now + self._keeper.lease
            if progress is not None:
                self._stored = now
                child.notices.tell(hold.jobs[0].id, "progress", progress[1], RUNNING)
            return
        self._look(now)

    def _hook(self, connection: "Connection", now: float, data: dict[str, Any]) -> None:
        """Let the job's webhook know how far it is, every few seconds."""
        if now - self._hooked >= _HOOK:
            self._hooked = now
            job = replace(self._hold.jobs[0], progress=data)
            results.webhook(connection, job, results.PROGRESS, int(time.time() * 1e6))

    def _look(self, now: float) -> None:
        """Find out whether one of the jobs was canceled, or is another's by now."""
        hold = self._hold
        self._looked = now
        with self._keeper.child.database.reading() as connection:
            found = [rows.get(connection, job.id) for job in hold.jobs]
        for job, row in zip(hold.jobs, found, strict=True):
            if row is None or row.state != RUNNING or row.token != job.token:
                self._lost(job)
            elif row.cancel:
                self._keeper.interrupt(hold, Reason.CANCELED, job.id)

    def _lost(self, job: Job) -> None:
        # Of several the others are still ours, and this one's result will be refused.
        if len(self._hold.jobs) == 1:
            self._keeper.interrupt(self._hold, Reason.LOST, job.id)

    def _see_it_stop(self, now: float) -> None:
        hold = self._hold
        since = now - hold.interrupted
        if since < _PATIENCE:
            return
        if not hold.ended or since > _PATIENCE + _TIDYING:
            self._keeper.abandon(hold)
