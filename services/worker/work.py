"""What a handler is given, and what it gives back."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from services.ledger.database.job_rows import RUNNING, Job
from services.worker.outcome import Canceled, Done, Interrupted, NewRecord, Reason, interruption

if TYPE_CHECKING:
    from services.worker.child import Child
    from services.worker.hold import Hold
    from services.worker.keeper import Keeper

__all__ = [
    "Canceled", "Done", "Handler", "Interrupted", "NewRecord", "Reason", "Work", "interruption",
]  # fmt: skip


class Work:
    """One job on its way through a handler, which runs in the main thread of its process.

    Attributes:
        job: its row, as it was when it was taken.
        child: the process: settings, database, blobs, models.
        keeper: renews the lease meanwhile.
    """

    def __init__(self, job: Job, child: "Child", keeper: "Keeper", hold: "Hold") -> None:
        self.job = job
        self.child = child
        self.keeper = keeper
        self._hold = hold

    @property
    def canceled(self) -> bool:
        """Whether it is to be given up, for whatever reason."""
        return self._hold.reason is not None

    @property
    def seconds_left(self) -> float:
        """How long it may still take; infinite where there is no limit."""
        return max(0.0, self._hold.deadline - time.monotonic())

    def check(self) -> None:
        """Go on if it is still wanted.

        Raises:
            Canceled: somebody canceled it.
            Interrupted: it is to be given up for another reason.
        """
        self._hold.check()

    def progress(self, data: dict[str, Any], event: dict[str, Any] | None = None) -> None:
        """Say how far it is; stored within half a second, the last value wins.

        Args:
            data: JSON values, kept in the job's row.
            event: what listeners are told; `data` where it is not given.
        """
        self._hold.progressed(data, data if event is None else event)

    def told(self, event: dict[str, Any]) -> None:
        """Tell listeners how far it is; nothing is stored."""
        self.child.notices.tell(self.job.id, "progress", event, RUNNING)


Handler = Callable[[Work], Done]
