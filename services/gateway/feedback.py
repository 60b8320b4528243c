"""What a request says about a prediction, as entries of feedback."""

import time
from typing import TYPE_CHECKING, Any

import orjson

from services.core.errors import InvalidInputError, PayloadTooLargeError
from services.core.ids import new_id
from services.core.received import counted
from services.gateway.schemas_predictions import FeedbackRequest

if TYPE_CHECKING:
    from services.ledger.database.feedback import Feedback
    from services.ledger.questions import Connection

# Of one value as JSON: what MLflow's pages can show.
MOST_BYTES = 16 * 1024


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
    for where, value in (("value", body.value), ("expected", body.expected)):
        size = len(orjson.dumps(value))
        if size > MOST_BYTES:
            raise PayloadTooLargeError(
                f"{where} is too large.",
                where=where,
                expected=f"at most {MOST_BYTES} bytes of JSON",
                received=counted(size, "byte"),
            )


def keep(
    connection: "Connection", prediction_id: str, body: FeedbackRequest
) -> "tuple[list[Feedback], bool]":
    """Write down what a request says; return its entries, and whether they are new.

    Raises:
        ConflictError: its id stands for something else, or there is too much feedback already.
    """
    from services.ledger.database.feedback import Feedback
    from services.ledger.questions import keep, second_id

    given: list[Feedback] = []
    first = body.id.lower() if body.id else new_id()

    def add(kind: str, name: str, value: Any) -> None:
        if value is None:
            return
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

    add("feedback", "feedback", body.value)
    add("expectation", "expected", body.expected)
    return keep(connection, given)
