"""Records and feedback to fill a database with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.core.ids import new_id
from services.ledger.database import index
from services.ledger.database.feedback import Feedback
from services.ledger.database.opening import Database
from services.ledger.records import Record, parse

# 2026-11-21 12:00 UTC, a whole minute.
NOON = 1_795_262_400.0


@dataclass(frozen=True)
class Segment:
    writer: str = "0192a0f0-0000-7000-8000-000000000000"
    number: int = 1


def record(**values: Any) -> Record:
    """Return a record of about 700 bytes, with the values that are named."""
    made = {
        "v": 1, "id": new_id(), "time": NOON, "seconds": 0.003, "model": "credit",
        "version": "1", "stage": "Production", "mode": "sync", "caller": None,
        "request_id": new_id(), "status": "succeeded", "error": None,
        "input": {f"feature_{n}": n * 1.25 for n in range(20)},
        "output": {"label": "good", "scores": [0.75, 0.25]},
        "phases": {"queue": 0.0001, "inference": 0.002}, "confidence": 0.75, "cached": False,
    }  # fmt: skip
    return parse(orjson.dumps(made | values))


def feedback(prediction_id: str, **values: Any) -> Feedback:
    """Return a judgement of a prediction."""
    made: dict[str, Any] = {
        "id": new_id(), "prediction_id": prediction_id, "name": "correct", "kind": "feedback",
        "value": True, "rationale": None, "source": None, "created": round(NOON * 1e6),
    }  # fmt: skip
    return Feedback(**(made | values))


def fill(database: Database, records: Sequence[Record], number: int = 1) -> int:
    """Index records as one segment's; return how many were new."""
    new = 0
    for start in range(0, len(records), 1000):
        with database.begin(durable=False) as connection:
            piece = records[start : start + 1000]
            new += index.add(connection, piece, Segment(number=number), start + len(piece), 0)
    return new
