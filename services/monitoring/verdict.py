"""What an expectation says about a prediction, and what is written down of it beside the words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import orjson

from services.core.errors import InvalidInputError
from services.core.logging import get_logger
from services.families._judging import Judging
from services.ledger.records import SUCCEEDED, Record

if TYPE_CHECKING:
    from services.ledger.database.feedback import Feedback
    from services.ledger.questions import Connection

_log = get_logger(__name__)
# Why an expectation does not count: the prediction failed, its answer is not on record, or its
# family has no measure for it.
NO_ANSWER, NO_OUTPUT, NO_MEASURE = "no_answer", "no_output", "no_measure"
REASONS = (NO_ANSWER, NO_OUTPUT, NO_MEASURE)
_CORRECT = "correct"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer beside what would have been right.

    Attributes:
        right: whether all of it was; None where there is no yes or no to that.
        reason: why it does not count; None: it does.
    """

    answer: Any = None
    truth: Any = None
    right: bool | None = None
    reason: str | None = None


def judge(judging: Judging, record: Record, output: Any, given: Any) -> Verdict:
    """Compare the answer on record with what is said to be right.

    Args:
        output: of the record, wherever it lies; None: it is nowhere any more.

    Raises:
        InvalidInputError: `given` does not fit the answer; says where and what was expected.
    """
    if record.status != SUCCEEDED:
        return Verdict(reason=NO_ANSWER)
    if output is None:
        return Verdict(reason=NO_OUTPUT)
    try:
        answer = judging.comparable(output)
        if answer is None:
            return Verdict(reason=NO_MEASURE)
        truth = judging.truth(given, output)
        return Verdict(answer, truth, judging.right(answer, truth))
    except InvalidInputError:
        raise
    except Exception as error:
        # A family that stumbles over an answer of its own loses no feedback.
        _log.warning("an answer cannot be judged", family=record.family, error=repr(error)[:200])
        return Verdict(reason=NO_MEASURE)


@dataclass(frozen=True, slots=True)
class Told:
    """What one request said about one prediction.

    Attributes:
        entries: as they were kept.
        verdict: of the expectation among them; None where there is none that is to be judged.
    """

    record: Record
    entries: "Sequence[Feedback]"
    verdict: Verdict | None

    @property
    def expectation(self) -> "Feedback":
        """The entry that the verdict is of: the last one."""
        return self.entries[-1]


def note(connection: "Connection", judging: Judging, told: Told) -> None:
    """Write a verdict down, in place of an older one of its prediction, and what follows from it.

    A wrong answer gets a judgement `correct` of its own, false, for whoever looks for wrong ones
    in MLflow; it gets another one, true, where a newer expectation says that it was right.
    """
    from services.ledger.database import judgements
    from services.ledger.database.feedback import DERIVED, Feedback, add_feedback

    record, verdict = told.record, told.verdict
    if verdict is None or verdict.reason is not None:
        return
    said = told.expectation
    before = judgements.find(connection, record.id)
    if before is not None and before.number > said.number:
        return
    size = len(orjson.dumps([verdict.answer, verdict.truth]))
    judgements.put(
        connection,
        judgements.Judgement(
            record.id,
            said.number,
            record.model,
            record.version,
            record.family,
            round(record.time * 1e6),
            verdict.answer,
            verdict.truth,
            size,
        ),
    )
    stood = True if before is None else judging.right(before.answer, before.truth)
    if verdict.right is None or verdict.right == stood:
        return
    add_feedback(
        connection,
        Feedback(
            id=str(uuid5(UUID(said.id), _CORRECT)),
            prediction_id=record.id,
            name=_CORRECT,
            kind="feedback",
            value=verdict.right,
            rationale=None,
            source=DERIVED,
            created=said.created,
        ),
    )


def tell(connection: "Connection", said: "Sequence[Told]") -> None:
    """Count feedback that was new, by version and kind."""
    from services.ledger.database import judgements

    totals: Counter[tuple[str, str, str]] = Counter()
    for one in said:
        key = (one.record.model, one.record.version)
        totals.update((*key, entry.kind) for entry in one.entries)
        if one.verdict is not None:
            totals[*key, one.verdict.reason or judgements.JUDGED] += 1
    # In one order, so that nobody waits for one who waits for him.
    for (model, version, kind), number in sorted(totals.items()):
        judgements.count(connection, (model, version), kind, number)
