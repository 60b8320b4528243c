"""Labelled examples from a CSV file, as payloads for a model that brings no data of its own."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.core.errors import InvalidInputError
from services.core.signature import Field, Signature

_TRUE = {"true", "1", "yes"}
_FALSE = {"false", "0", "no"}


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows without their answer, as the file has them (text), and the answers beside them."""

    rows: Sequence[Mapping[str, str]]
    answers: Sequence[str]


def read(path: Path, target: str | None) -> Labelled:
    """Read a CSV file with a line of names.

    Raises:
        InvalidInputError: it cannot be read, has no such column, or a line has no answer.
    """
    if target is None:
        raise InvalidInputError(
            "The column of the right answers is not named.",
            where="--target",
            expected="the name of a column of the file",
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or [])
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(
            "The file of labelled examples cannot be read.",
            where="--data",
            expected="a UTF-8 CSV file with a line of column names",
        ) from error
    if target not in names:
        raise InvalidInputError(
            "The file has no such column.", where="--target", expected="one of " + ", ".join(names)
        )
    if not rows:
        raise InvalidInputError("The file has no rows.", where="--data")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values() or row[target] == "":
            raise InvalidInputError(
                "A row is incomplete.",
                where=f"--data row {number}",
                expected=f"{len(names)} values, {target} among them not empty",
            )
    return Labelled(
        rows=[{name: row[name] for name in names if name != target} for row in rows],
        answers=[row[target] for row in rows],
    )


def payload(rows: Sequence[Mapping[str, str]], signature: Signature | None) -> dict[str, Any]:
    """Return rows as the `inputs` of a model, each value of the type that the signature says."""
    if signature is None or not signature.inputs:
        return {"inputs": [{name: _guess(text) for name, text in row.items()} for row in rows]}
    inputs = signature.inputs
    if inputs[0].is_tensor or inputs[0].name is None:
        return {"inputs": [[_guess(text) for text in row.values()] for row in rows]}
    fields = {field.name: field for field in inputs if field.name is not None}
    return {
        "inputs": [
            {name: _cast(text, fields[name]) for name, text in row.items() if name in fields}
            for row in rows
        ]
    }


def _cast(text: str, field: Field) -> Any:
    """Turn text into the column's type; what does not fit stays text, for the model to refuse."""
    if text == "":
        return None
    if field.type == "string":
        return text
    if field.type == "boolean":
        lower = text.strip().lower()
        return True if lower in _TRUE else False if lower in _FALSE else text
    value = _guess(text)
    whole = isinstance(value, float) and value.is_integer()
    return int(value) if field.type in {"integer", "long"} and whole else value


def _guess(text: str) -> Any:
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else None
    return text or None
