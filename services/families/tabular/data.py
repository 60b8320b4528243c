"""Tables to learn from: a generated one, or any CSV file with a header."""

import csv
import hashlib
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from services.core.errors import InvalidInputError
from services.core.signature import Field
from services.families.base import Split

# Held out of every class; which rows these are depends on nothing but the table.
_HELD_OUT = 0.25
_SEED = 20
_MISSING = {"", "NA", "N/A", "NaN", "nan", "null"}
_MOST_CLASSES = 100
Row = list[Any]
Label = int | str


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows as JSON values (null where one is missing), in the columns' order, and their labels."""

    fields: tuple[Field, ...]
    rows: list[Row]
    labels: list[Label]


def generated(rows: int) -> Split:
    """Return two classes of points in 20 dimensions: 8 tell, 4 repeat those, 8 are noise.

    Each class is two clusters, so a linear model cannot get everything right; 2 % of the labels
    are wrong.
    """
    from sklearn.datasets import make_classification

    points, labels = make_classification(
        n_samples=rows,
        n_features=20,
        n_informative=8,
        n_redundant=4,
        n_clusters_per_class=2,
        class_sep=1.2,
        flip_y=0.02,
        weights=[0.6, 0.4],
        random_state=_SEED,
    )
    fields = tuple(Field(f"feature_{i}", "double") for i in range(1, 21))
    # Four decimals, as a person would write them: the example can be read.
    table = Examples(fields, np.round(points, 4).tolist(), labels.tolist())
    return _split(table, "generated")


def from_csv(path: Path, target: str) -> Split:
    """Read a CSV file; a column is of numbers if all its values are, else of text.

    Args:
        target: the column to predict; empty: `label` if there is one, else the last.

    Raises:
        InvalidInputError: the file is no such table, or has no classes to learn.
    """
    header, lines = _lines(path)
    name = target or ("label" if "label" in header else header[-1])
    if name not in header:
        raise InvalidInputError(
            "The table has no such column.", where="target", expected="one of its header's names"
        )
    columns = {key: [line[i] for line in lines] for i, key in enumerate(header)}
    labels = _labels(columns.pop(name), name)
    if not columns:
        raise InvalidInputError(
            "The table has no column to learn from.", where=name, expected="at least two columns"
        )
    read = {key: _column(key, cells) for key, cells in columns.items()}
    fields = tuple(field for field, _ in read.values())
    rows = [list(row) for row in zip(*(values for _, values in read.values()), strict=True)]
    return _split(Examples(fields, rows, labels), path.name)


def _lines(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            if "" in header or len(set(header)) != len(header) or not header:
                raise _unusable("line 1", "a header: a different name for each column")
            lines = []
            for line in reader:
                if line and len(line) != len(header):
                    raise _unusable(f"line {reader.line_num}", f"{len(header)} values")
                if line:
                    lines.append([cell.strip() for cell in line])
    except UnicodeDecodeError:
        raise _unusable(None, "text in UTF-8") from None
    except csv.Error:
        raise _unusable(f"line {reader.line_num}", "comma-separated values") from None
    except OSError:
        raise _unusable(None, "a file that can be read") from None
    return header, lines


def _labels(cells: list[str], name: str) -> list[Label]:
    for index, cell in enumerate(cells):
        if cell in _MISSING:
            raise InvalidInputError(
                f"Row {index + 1} has no label.", where=name, expected="a class in every row"
            )
    counts = Counter(cells)
    if not 2 <= len(counts) <= _MOST_CLASSES or min(counts.values()) < 2:
        raise InvalidInputError(
            f"The column {name} holds no classes to learn: {len(counts)} different values.",
            where=name,
            expected=f"2 to {_MOST_CLASSES} classes, each in at least two rows",
        )
    try:
        return [int(cell) for cell in cells]
    except ValueError:
        return list(cells)


def _column(name: str, cells: list[str]) -> tuple[Field, list[Any]]:
    missing = [cell in _MISSING for cell in cells]
    if all(missing):
        raise InvalidInputError(
            f"The column {name} is empty.", where=name, expected="at least one value"
        )
    pairs = list(zip(cells, missing, strict=True))
    try:
        values = [None if gone else float(cell) for cell, gone in pairs]
        if all(value is None or math.isfinite(value) for value in values):
            return Field(name, "double", required=not any(missing)), values
    except ValueError:
        pass
    texts = [None if gone else cell for cell, gone in pairs]
    return Field(name, "string", required=not any(missing)), texts


def _split(table: Examples, source: str) -> Split:
    generator = np.random.default_rng(_SEED)
    labels = np.array([str(label) for label in table.labels])
    held_out = np.zeros(len(labels), dtype=bool)
    for label in sorted(set(labels.tolist())):
        indices = generator.permutation(np.flatnonzero(labels == label))
        held_out[indices[: max(1, round(_HELD_OUT * len(indices)))]] = True
    parts = [_take(table, np.flatnonzero(mask).tolist()) for mask in (~held_out, held_out)]
    fields = [[field.name, field.type, field.required] for field in table.fields]
    content = orjson.dumps([fields, table.rows, table.labels])
    return Split(
        train=parts[0],
        held_out=parts[1],
        digest=hashlib.sha256(content).hexdigest(),
        source=source,
        rows=(len(parts[0].rows), len(parts[1].rows)),
    )


def _take(table: Examples, indices: list[int]) -> Examples:
    return Examples(
        table.fields, [table.rows[i] for i in indices], [table.labels[i] for i in indices]
    )


def _unusable(where: str | None, expected: str) -> InvalidInputError:
    place = "" if where is None else f" at {where}"
    return InvalidInputError(
        f"The table cannot be read{place}.", where=where or "data", expected=expected
    )
