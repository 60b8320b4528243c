"""What a child works on, and whether it is to go on."""

import time
from collections.abc import Sequence
from typing import Any

from services.ledger.database.job_rows import Job
from services.worker.outcome import Reason, interruption


class Hold:
    """The jobs that a child works on now, all taken together.

    Attributes:
        deadline: reading of `time.monotonic` at which the work counts as hanging.
        reason: why it is to be given up; None: go on.
        culprit: id of the job that is the reason; None: all of them are.
        heard: the work was told.
        ended: its jobs are, by the keeper: there is nothing left to be written.
    """

    def __init__(self, jobs: Sequence[Job], deadline: float) -> None:
        self.jobs = jobs
        self.deadline = deadline
        self.reason: Reason | None = None
        self.culprit: str | None = None
        self.began = time.monotonic()
        self.over = False
        self.heard = False
        self.ended = False
        self.interrupted = 0.0
        self._armed = False
        self._progress: tuple[dict[str, Any], dict[str, Any]] | None = None

    def arm(self) -> None:
        """From here on the work may be interrupted.

        Raises:
            Interrupted: it was to be, meanwhile.
        """
        self._armed = True
        self.check()

    def disarm(self) -> None:
        """From here on it may not."""
        self._armed = False

    @property
    def armed(self) -> bool:
        """Whether the handler is at work."""
        return self._armed

    def check(self) -> None:
        """Go on if nobody wants it to stop; see `Work.check`."""
        if self.reason is not None and not self.heard:
            self.heard = True
            raise interruption(self.reason)

    def progressed(self, data: dict[str, Any], event: dict[str, Any]) -> None:
        """Have the keeper store how far the work is."""
        self._progress = (data, event)

    def take_progress(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return what is to be stored, once."""
        taken, self._progress = self._progress, None
        return taken
