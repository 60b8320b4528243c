"""Threads that work off a line of jobs which can still be taken back while they wait.

Unlike the standard executor, a job that is cancelled leaves the line (and its memory) at once,
one that is past its deadline never starts, and a thread that hangs in native code does not keep
the process from ending.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from services.core.errors import DeadlineExceededError, ModelUnavailableError, SlipwayError

T = TypeVar("T")


class WorkFailed(Exception):
    """A job raised something that is no error of ours; it is the cause of this."""


@dataclass(slots=True)
class Done(Generic[T]):
    """What a job returned, and the seconds it waited and ran."""

    value: T
    waited: float
    ran: float


def as_failure(error: BaseException) -> Exception:
    """Return an error of ours as it is, and any other as the cause of a WorkFailed."""
    if isinstance(error, SlipwayError):
        return error
    failure = WorkFailed(type(error).__name__)
    failure.__cause__ = error
    return failure


def run_here(work: Callable[[], T]) -> "Done[T]":
    """Run a job in this very thread, as quick ones are on the event loop.

    Raises:
        SlipwayError, WorkFailed: as a job's future would.
    """
    started = time.monotonic()
    try:
        value = work()
    except KeyboardInterrupt:  # the operator's, not the model's
        raise
    except BaseException as error:
        raise as_failure(error) from error
    return Done(value, 0.0, time.monotonic() - started)


@dataclass(slots=True, eq=False)
class _Job:
    work: Callable[[], Any] | None
    future: "Future[Any]"
    deadline: float
    submitted: float


class Workers:
    """A fixed number of daemon threads and one line in front of them."""

    def __init__(self, name: str, count: int) -> None:
        self._line: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self, work: Callable[[], T], *, deadline: float = float("inf"), urgent: bool = False
    ) -> "Future[Done[T]]":
        """Put a job in line; an urgent one goes to its head.

        `deadline` is a reading of `time.monotonic`; a job that has not started by then fails
        with DeadlineExceededError. Cancelling the future takes a waiting job out of the line;
        a running one goes on to its end.

        Raises:
            ModelUnavailableError: the workers are closed.
        """
        job = _Job(work, Future(), deadline, time.monotonic())
        with self._changed:
            if self._closed:
                raise ModelUnavailableError("The service is shutting down.", retry_after=1)
            if urgent:
                self._line.appendleft(job)
            else:
                self._line.append(job)
            self._changed.notify()
        # The future must not refer to the job, or its result waits for the collector.
        job.future.add_done_callback(self._forget)
        return job.future

    def waiting(self) -> int:
        """Return how many jobs stand in line."""
        return len(self._line)

    def close(self) -> None:
        """Take no more jobs and cancel those in line; running ones go on to their end."""
        with self._changed:
            self._closed = True
            left = list(self._line)
            self._line.clear()
            self._changed.notify_all()
        for job in left:
            job.future.cancel()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the threads to end; return whether they all did."""
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _forget(self, future: "Future[Any]") -> None:
        if not future.cancelled():
            return
        with self._changed:
            for job in self._line:
                if job.future is future:
                    self._line.remove(job)
                    return

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._line and not self._closed:
                self._changed.wait()
            return self._line.popleft() if self._line else None

    def _run(self) -> None:
        while (job := self._next()) is not None:
            if job.future.set_running_or_notify_cancel():
                _execute(job)
            # Without this the last job's arrays would live until the next job comes.
            del job


def _execute(job: _Job) -> None:
    started = time.monotonic()
    if started >= job.deadline:
        job.future.set_exception(DeadlineExceededError("The deadline passed before work began."))
        return
    work, job.work = job.work, None
    assert work is not None  # it goes only with the job's cancellation
    try:
        value = work()
    # Everything, SystemExit and StopIteration included: raised into the event loop some would
    # end it, and the thread must outlive whatever a model does.
    except BaseException as error:
        job.future.set_exception(as_failure(error))
    else:
        ended = time.monotonic()
        job.future.set_result(Done(value, started - job.submitted, ended - started))
