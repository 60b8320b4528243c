"""`slipway.run`: a message says that there is something to do; the database says what.

A message is a wake-up and no more. It may come twice, late, or about a job that ended long ago:
the job is done by whoever leases it, and only while it is queued.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from services.core.errors import LedgerUnavailableError, SlipwayError
from services.core.logging import get_logger
from services.jobs import results
from services.jobs.names import PREDICT, PREDICT_BATCH
from services.jobs.results import Ending
from services.jobs.views import job_view
from services.ledger.database import jobs as rows
from services.ledger.database.job_rows import (
    CANCELED,
    JOB_FAILED,
    QUEUED,
    STATE_NAMES,
    SUCCEEDED,
    Job,
)
from services.worker.board import Board, Phase
from services.worker.child import Child
from services.worker.failures import failure, too_long
from services.worker.handlers import handler
from services.worker.hold import Hold
from services.worker.keeper import Keeper
from services.worker.outcome import Done, Interrupted, NewRecord, Reason
from services.worker.sizes import Key, Sizes
from services.worker.work import Work

if TYPE_CHECKING:
    from services.worker.models import Models

_log = get_logger(__name__)

# A database that is away is waited for; then the lease is over, and the job another's.
_END_SECONDS = 30.0
_END_PAUSE = 0.5
# What goes on although nobody wants it must end within this, or its process does.
_SETTLE_SECONDS = 0.5
_MOST_ALONG = 20_000


class Runner:
    """Does the jobs of one child, one take after the other."""

    def __init__(self, child: Child, board: Board) -> None:
        self._child = child
        self._board = board
        self._sizes = Sizes()
        # Jobs that were done with others, whose own messages are still to come, the oldest first.
        self._along: dict[str, None] = {}
        self._keeper = Keeper(child, board, self._ended_by_keeper)
        self._keeper.start()

    def run(self, id: str) -> None:
        """Do the job of a message, if it is still to be done, and maybe others like it."""
        if self._board.phase is Phase.HANDING_BACK:
            return
        if id in self._along:
            # Done here a moment ago, together with others: nothing needs to be looked up.
            del self._along[id]
            return
        self._board.begin(self._child.slot)
        try:
            taken = self._take(id)
            if taken:
                self._do(taken)
        except LedgerUnavailableError as error:
            # It is queued, or its lease will run out: the reconciler sends another message.
            _log.warning("a job cannot be taken now", job_id=id, error=error.message)
        finally:
            self._board.end(self._child.slot)

    def close(self) -> None:
        """Close what the child opened; it ends."""
        self._child.close()

    def _take(self, id: str) -> list[Job]:
        """Lease the job; to look first costs readers nothing, and most messages end there."""
        child = self._child
        with child.database.reading() as connection:
            job = rows.get(connection, id)
        if job is None or job.state != QUEUED:
            return []
        more = 0
        if job.task == PREDICT and job.attempts == 0:
            more = self._sizes.size(_key(job)) - 1
        now = time.time()
        until = int((now + child.settings.job_lease) * 1e6)
        with child.writing() as connection:
            taken = rows.take(connection, id, child.name, int(now * 1e6), until, more)
            for one in taken:
                if one.webhook is not None:
                    results.webhook(connection, one, "start", int(now * 1e6))
        return taken

    def _do(self, taken: list[Job]) -> None:
        child, keeper = self._child, self._keeper
        hold = keeper.hold(taken, self._limit(taken[0]))
        done: dict[str, Done] = {}
        reason: Reason | None = None
        try:
            reason = self._work(hold, done)
            if not hold.ended:
                self._end(hold, done, reason)
        finally:
            keeper.release(hold)
        predicts = "models" in vars(child)
        if reason is not None and predicts and not child.models.settled(_SETTLE_SECONDS):
            _log.warning("a model does not stop; its process ends", job_id=taken[0].id)
            child.die()

    def _limit(self, job: Job) -> float:
        """Return the seconds that work may take."""
        settings = self._child.settings
        if job.task == PREDICT:
            return settings.job_timeout
        # Each of its items has a limit of its own; how many there are, nobody here knows.
        return float("inf") if job.task == PREDICT_BATCH else settings.training_timeout

    def _work(self, hold: Hold, done: dict[str, Done]) -> Reason | None:
        """Let the handler work; return why it was given up, if it was."""
        child, job = self._child, hold.jobs[0]
        try:
            if job.task in (PREDICT, PREDICT_BATCH):
                # Not to be interrupted: a library that is imported by half stays so.
                _ = child.models
            try:
                hold.arm()
                if job.task == PREDICT:
                    self._predict(hold, done)
                else:
                    work = Work(job, child, self._keeper, hold)
                    done[job.id] = handler(job.task)(work)
            finally:
                hold.disarm()
        except Interrupted as interrupted:
            return interrupted.reason
        except Exception as error:
            done[job.id] = Done(error=failure(error, job.id))
        return None

    def _predict(self, hold: Hold, done: dict[str, Done]) -> None:
        from services.worker.handlers.predict import predict

        predict(self._child, hold.jobs, done, hold.deadline)
        took = [
            float(one.result["seconds"]) for one in done.values() if isinstance(one.result, dict)
        ]
        if took:
            # Without the loading of the model: that is over when a prediction begins.
            seconds = time.monotonic() - hold.began
            self._sizes.learn(_key(hold.jobs[0]), len(took), min(seconds, sum(took)))

    # --- the end -----------------------------------------------------------------------------

    def _end(self, hold: Hold, done: dict[str, Done], reason: Reason | None) -> None:
        """Write down what came of each job; tell those who wait."""
        endings = [
            ending
            for job in hold.jobs
            if (ending := self._ending(job, done.get(job.id), hold, reason)) is not None
        ]
        back = reason in (Reason.HANDED_BACK, Reason.CANCELED)
        ended = {ending.job.id for ending in endings}
        left = [job for job in hold.jobs if back and job.id not in ended]
        self._patiently(lambda: self._write(hold, endings, left, reason))

    def _ending(
        self, job: Job, made: Done | None, hold: Hold, reason: Reason | None
    ) -> Ending | None:
        """Return how a job ends; None: it does not, here and now."""
        if made is not None and reason is not Reason.LOST:
            state = SUCCEEDED if made.error is None else JOB_FAILED
            return Ending(job, state, made.result, made.error, made.records)
        alone = len(hold.jobs) == 1
        if reason is Reason.CANCELED and hold.culprit in (None, job.id):
            return Ending(job, CANCELED, None, None, self._records(job))
        if reason is Reason.DEADLINE and alone:
            limit = self._limit(job)
            return Ending(job, JOB_FAILED, None, too_long(limit), self._records(job))
        # Of several that hang nobody knows which one it is: their leases run out, and each is
        # taken alone then.
        return None

    def _records(self, job: Job) -> list[NewRecord]:
        models: Models | None = vars(self._child).get("models")
        return [] if models is None else models.records(job.id, job.id)

    def _write(
        self, hold: Hold, endings: Sequence[Ending], left: Sequence[Job], reason: Reason | None
    ) -> None:
        child = self._child
        now = int(time.time() * 1e6)
        with child.writing() as connection:
            kept = results.end_many(connection, endings, now)
            for job in left:
                rows.hand_back(connection, job.id, job.token)
            if reason is Reason.LOST:
                results.lost(connection, hold.jobs[0])
        good = [ending for ending, mine in zip(endings, kept, strict=True) if mine]
        self._expect(hold, good)
        self._tell(good, now)
        for ending, mine in zip(endings, kept, strict=True):
            if mine:
                _said(ending, now)
            else:
                _log.warning("a result came too late: the job is another's", job_id=ending.job.id)
        for job in left:
            _log.info("job handed back", job_id=job.id)

    def _expect(self, hold: Hold, ended: Sequence[Ending]) -> None:
        """Note whose messages need no look at the database: what succeeded is never done again."""
        first = hold.jobs[0]
        for one in ended:
            if one.state == SUCCEEDED and one.job is not first:
                self._along[one.job.id] = None
        while len(self._along) > _MOST_ALONG:
            self._along.pop(next(iter(self._along)))

    def _tell(self, endings: Sequence[Ending], now: int) -> None:
        told = []
        for one in endings:
            job = replace(
                one.job, state=one.state, completed=now, result=one.result, error=one.error
            )
            told.append((job.id, results.COMPLETED, job_view(job), job.state))
        if told:
            self._child.notices.tell_many(told)

    def _patiently(self, write: Callable[[], None]) -> None:
        until = time.monotonic() + _END_SECONDS
        while True:
            try:
                return write()
            except SlipwayError as error:
                if time.monotonic() > until:
                    raise
                _log.warning("an end cannot be written now", error=error.message)
            time.sleep(_END_PAUSE)

    def _ended_by_keeper(self, hold: Hold, reason: Reason) -> None:
        """End jobs whose work does not listen; called by the keeper's thread."""
        self._end(hold, {}, reason)


def _said(ending: Ending, now: int) -> None:
    """Log an end; there may be hundreds of good ones a second."""
    job, error = ending.job, ending.error or {}
    log = _log.debug if ending.state == SUCCEEDED else _log.info
    log(
        "job ended",
        job_id=job.id,
        request_id=job.request_id,
        task=job.task,
        subject=job.subject,
        state=STATE_NAMES[ending.state],
        attempts=job.attempts,
        seconds=(now - (job.started or now)) / 1e6,
        error=error.get("code"),
    )


def _key(job: Job) -> Key:
    return job.subject, job.options.get("version"), job.options.get("stage")
