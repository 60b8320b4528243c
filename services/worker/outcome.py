"""How work ends: with a result, an error, or because somebody wants it to."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# Id of the prediction, when (microseconds since 1970), id of the job, the record's JSON.
NewRecord = tuple[str, int, str | None, bytes]


class Reason(StrEnum):
    """Why work is given up before its end."""

    CANCELED = "canceled"
    # Somebody else has the job, or may have it: nothing that is done here counts any more.
    LOST = "lease lost"
    DEADLINE = "deadline"
    # The worker is told to end, and its grace is over.
    HANDED_BACK = "handed back"


class Interrupted(BaseException):
    """The work is to be given up. Not an `Exception`: no `except Exception` may swallow it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Canceled(Interrupted):
    """Somebody canceled the job."""

    def __init__(self) -> None:
        super().__init__(Reason.CANCELED)


def interruption(reason: Reason) -> Interrupted:
    """Return what is raised for a reason."""
    return Canceled() if reason is Reason.CANCELED else Interrupted(reason)


@dataclass(slots=True)
class Done:
    """What came of a job.

    Attributes:
        result: JSON values, as they are to stand in the database.
        error: `code`, `message`, `where`, `expected`; None where it succeeded.
        records: of predictions, to be written with the end.
    """

    result: Any = None
    error: dict[str, Any] | None = None
    records: list[NewRecord] = field(default_factory=list)
