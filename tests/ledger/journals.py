"""Journals for tests: records made up, written by the real writer."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from services.core.ids import new_id
from services.ledger.places import Places
from services.ledger.reading import read, segments


def record(**values: Any) -> dict[str, Any]:
    """Return a record as the journal holds it."""
    return {
        "v": 1,
        "id": new_id(),
        "time": time.time(),
        "seconds": 0.002,
        "model": "ml_classifier",
        "version": "1",
        "stage": "Production",
        "mode": "sync",
        "caller": None,
        "request_id": "request-1",
        "status": "succeeded",
        "error": None,
        "input": {"features": [0.5] * 20},
        "input_digest": None,
        "input_ref": None,
        "output": {"prediction": 1, "probabilities": [0.1, 0.9]},
        "output_ref": None,
        "phases": {"queue": 0.0, "preprocess": 1e-4, "inference": 1e-3, "postprocess": 1e-4},
        "confidence": 0.9,
        "cached": False,
        **values,
    }


def encoded(records: Iterable[dict[str, Any]]) -> list[bytes]:
    """Return records as bytes."""
    return [orjson.dumps(one) for one in records]


def journal_of(data_dir: Path) -> Path:
    """Return where journals lie below DATA_DIR."""
    return Places(data_dir).journal


def all_payloads(data_dir: Path) -> list[bytes]:
    """Return every record of every journal, in order."""
    found: list[bytes] = []
    for segment in segments(journal_of(data_dir)):
        offset = 0
        while True:
            chunk = read(segment, offset)
            found += [entry.payload for entry in chunk.records]
            if chunk.finished or chunk.next_offset == offset:
                break
            offset = chunk.next_offset
    return found
