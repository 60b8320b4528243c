"""What a request says about a prediction, as entries of feedback and a verdict on the answer."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from services.core.errors import InvalidInputError, PayloadTooLargeError
from services.core.ids import new_id
from services.core.received import counted
from services.families._judging import judge_of
from services.families.base import Family
from services.gateway import recorded
from services.gateway.ledger_desk import LedgerDesk
from services.gateway.schemas_predictions import FeedbackRequest
from services.ledger.records import Record
from services.monitoring.verdict import Told, Verdict, judge, note, tell

if TYPE_CHECKING:
    from services.ledger.database.feedback import Feedback
    from services.ledger.questions import Connection

# Of one value as JSON: what MLflow's pages can show; and the masks of a picture.
MOST_BYTES = 16 * 1024
MOST_EXPECTED_BYTES = 64 * 1024
# Of an answer that lies beside its record.
_MOST_OUTPUT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Said:
    """What one request says about one prediction, compared with the answer."""

    record: Record
    body: FeedbackRequest
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Kept:
    """What was written down: `new` unless the same was there before, under this id."""

    entries: "Sequence[Feedback]"
    new: bool
    verdict: Verdict | None

    def shown(self) -> dict[str, Any]:
        """Return it as JSON values: a `FeedbackList`."""
        verdict = self.verdict
        return {
            "feedback": [recorded.entry(one) for one in self.entries],
            "correct": None if verdict is None else verdict.right,
            "uncounted": None if verdict is None else verdict.reason,
        }


def check(body: FeedbackRequest) -> None:
    """Look whether a request says something, and not too much.

    Raises:
        InvalidInputError: it says nothing.
        PayloadTooLargeError: a value is too large.
    """
    if body.value is None and body.expected is None:
        raise InvalidInputError(
            "The feedback says nothing.",
            where="value",
            expected="a value, what was expected, or both",
            received="nothing",
        )
    for where, value, most in (
        ("value", body.value, MOST_BYTES),
        ("expected", body.expected, MOST_EXPECTED_BYTES),
    ):
        size = len(orjson.dumps(value))
        if size > most:
            raise PayloadTooLargeError(
                f"{where} is too large.",
                where=where,
                expected=f"at most {most} bytes of JSON",
                received=counted(size, "byte"),
            )


def compare(
    desk: LedgerDesk, families: Mapping[str, Family], record: Record, body: FeedbackRequest
) -> Said:
    """Compare a prediction with what is expected, if that is to be judged. May read a file.

    Raises:
        InvalidInputError: what is expected does not fit the answer.
    """
    if body.expected is None or body.name is not None:
        return Said(record, body, None)
    output = record.output
    if output is None and record.output_ref is not None:
        output = desk.blob(record.output_ref, _MOST_OUTPUT)
    judging = judge_of(families, record.family)
    return Said(record, body, judge(judging, record, output, body.expected))


def keep(connection: "Connection", families: Mapping[str, Family], said: Said) -> Kept:
    """Write down what a request says, and what follows from it.

    Raises:
        ConflictError: its id stands for something else, or there is too much feedback already.
    """
    kept = write(connection, families, said)
    if kept.new:
        tell(connection, [Told(said.record, kept.entries, said.verdict)])
    return kept


def write(connection: "Connection", families: Mapping[str, Family], said: Said) -> Kept:
    """Write down what a request says, but do not count it; see `keep`."""
    from services.ledger.questions import keep

    entries, new = keep(connection, _entries(said.record.id, said.body))
    if new:
        judging = judge_of(families, said.record.family)
        note(connection, judging, Told(said.record, entries, said.verdict))
    return Kept(entries, new, said.verdict)


def _entries(prediction_id: str, body: FeedbackRequest) -> "list[Feedback]":
    from services.ledger.database.feedback import Feedback
    from services.ledger.questions import second_id

    given: list[Feedback] = []
    first = body.id.lower() if body.id else new_id()
    for kind, name, value in (
        ("feedback", "feedback", body.value),
        ("expectation", "expected", body.expected),
    ):
        if value is None:
            continue
        given.append(
            Feedback(
                # The second one of a request that may be sent again has its id from the first one.
                id=second_id(first) if given else first,
                prediction_id=prediction_id,
                name=body.name or name,
                kind=kind,
                value=value,
                rationale=body.rationale,
                source=body.source,
                created=time.time_ns() // 1000,
            )
        )
    return given
