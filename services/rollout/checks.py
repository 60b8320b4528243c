"""What a check of a version says, and what checks can be told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from services.core.errors import InvalidInputError, SlipwayError

# In the order in which they run: each needs what those before it found in order.
NAMES = ("loads", "signature", "example", "accuracy", "latency")


class Outcome(StrEnum):
    """How a check ended; `skipped` only where the operator asked for it, or nothing is left."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a candidate.

    Attributes:
        name: one of `NAMES`.
        outcome: how it ended.
        detail: one sentence for people.
        figures: what was measured; seconds, fractions and counts, by name.
    """

    name: str
    outcome: Outcome
    detail: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "outcome": str(self.outcome),
            "detail": self.detail,
            "figures": dict(self.figures),
        }


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator decides about the checks.

    Attributes:
        data: a file of labelled examples to judge by; None: what the family brings.
        target: the column of `data` that holds the answer.
        skip: names of checks to leave out.
        max_latency: seconds that the median answer may take; None: the family's own limit.
        tolerance: how far the metric may fall; None: the family's own.
        calls: how often the example is timed.
    """

    data: Path | None = None
    target: str | None = None
    skip: frozenset[str] = frozenset()
    max_latency: float | None = None
    tolerance: float | None = None
    calls: int = 30

    def __post_init__(self) -> None:
        """Refuse what no check could follow."""
        unknown = sorted(self.skip - set(NAMES))
        if unknown:
            raise InvalidInputError(
                f"There is no check called {unknown[0]}.",
                where="--skip",
                expected="one of " + ", ".join(NAMES),
            )
        if self.data is None and self.target is not None:
            raise InvalidInputError(
                "A target column was named, but no file that has it.",
                where="--data",
                expected="the file of labelled examples",
            )


def passed(name: str, detail: str, **figures: Any) -> Check:
    """Return a check that the version holds."""
    return Check(name, Outcome.PASSED, detail, figures)


def failed(name: str, detail: str, **figures: Any) -> Check:
    """Return a check that the version does not hold, or that could not be made."""
    return Check(name, Outcome.FAILED, detail, figures)


def skipped(name: str, detail: str) -> Check:
    """Return a check that was left out."""
    return Check(name, Outcome.SKIPPED, detail)


def all_hold(checks: Sequence[Check]) -> bool:
    """Say whether nothing failed."""
    return all(check.outcome is not Outcome.FAILED for check in checks)


def reason(error: BaseException) -> str:
    """Return why something failed, as part of a sentence, without what an exception may carry."""
    if isinstance(error, SlipwayError):
        notes = [f"at {error.where}" if error.where else "", error.expected or ""]
        hint = "; ".join(note for note in notes if note)
        text = error.message.rstrip(".")
        return f"{text} ({hint})" if hint else text
    return f"it broke with {type(error).__name__}"
