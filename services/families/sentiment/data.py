"""Texts to learn from: the reviews that come with Slipway, or any CSV file of texts and labels."""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from services.core.errors import InvalidInputError, PayloadTooLargeError
from services.families.base import Split
from services.families.sentiment.payload import MAX_CHARACTERS

REVIEWS = Path(__file__).parent / "reviews.csv"
NEGATIVE, POSITIVE = "Negative", "Positive"
_HELD_OUT = 0.2
_MAX_BYTES = 128 * 1024 * 1024
_MOST_CLASSES = 100
_WORDS = {
    **dict.fromkeys(("0", "neg", "negative"), NEGATIVE),
    **dict.fromkeys(("1", "pos", "positive"), POSITIVE),
}
# Optional columns: what a text turns on, and which texts must not be parted by the split.
_DEVICE, _GROUP = "device", "group"


class Row(NamedTuple):
    """A text, its label, what it turns on ("" where unknown), and the group it belongs to."""

    text: str
    label: str
    device: str
    group: str


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts, their labels, and the device of each (`negation`, `contrast` … or "")."""

    texts: list[str]
    labels: list[str]
    devices: list[str]


def bundled() -> Split:
    """Return the reviews that come with Slipway (`docs/datasets/reviews.md`)."""
    return _split(_rows(REVIEWS, "text", "label"), "bundled reviews")


def read(path: Path, text_column: str, label_column: str) -> Split:
    """Read a CSV file in UTF-8 with a header.

    Labels 0 and 1, neg and pos, negative and positive are called Negative and Positive; all
    others keep their names.

    Raises:
        InvalidInputError: the file is not such a table, or has no classes to learn.
    """
    return _split(_rows(path, text_column, label_column), path.name)


def _rows(path: Path, text_column: str, label_column: str) -> list[Row]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise PayloadTooLargeError(
                "The file is too large.", where="data", expected=f"at most {_MAX_BYTES >> 20} MiB"
            )
        rows = list(_parsed(path, text_column, label_column))
    except UnicodeDecodeError:
        raise _invalid("The file is not text.", "data", "a CSV file in UTF-8") from None
    except OSError:
        raise _invalid("The file cannot be read.", "data", "a CSV file that can be read") from None
    return _named(rows, label_column)


def _parsed(path: Path, text_column: str, label_column: str) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        line = 1
        try:
            header = [name.strip() for name in next(reader, [])]
            for setting, name in (("text_column", text_column), ("label_column", label_column)):
                if header.count(name) != 1:
                    raise _invalid(
                        f"The header does not name one column {setting}.",
                        setting,
                        "the name of one column",
                    )
            columns = [
                header.index(name) if name in header else -1
                for name in (text_column, label_column, _DEVICE, _GROUP)
            ]
            line = reader.line_num + 1
            for cells in reader:
                if cells:
                    yield _row(cells, len(header), columns, line)
                line = reader.line_num + 1
        except csv.Error:
            raise _bad(line, "is not comma-separated values", "quotes that are closed") from None


def _row(cells: list[str], width: int, columns: list[int], line: int) -> Row:
    if len(cells) != width:
        raise _bad(line, f"has {len(cells)} values", f"{width}, as the header")
    values = [cells[column].strip() if column >= 0 else "" for column in columns]
    text, label = values[:2]
    if not text or "\0" in text:
        raise _bad(line, "has no text", "text")
    if len(text) > MAX_CHARACTERS:
        raise _bad(line, "has too long a text", f"at most {MAX_CHARACTERS} characters")
    if not label:
        raise _bad(line, "has no label", "a class in every row")
    return Row(*values)


def _named(rows: list[Row], column: str) -> list[Row]:
    """Give the labels of reviews their names, and see that there is something to learn."""
    if {row.label.lower() for row in rows} <= set(_WORDS):
        rows = [row._replace(label=_WORDS[row.label.lower()]) for row in rows]
    counts = Counter(row.label for row in rows)
    if not 2 <= len(counts) <= _MOST_CLASSES or min(counts.values()) < 2:
        raise _invalid(
            f"The labels are no classes to learn: {len(counts)} different ones.",
            column,
            f"2 to {_MOST_CLASSES} classes, each in at least two rows",
        )
    return rows


def _split(rows: list[Row], source: str) -> Split:
    """Hold out a fifth of each class: those of the smallest hashes.

    Equal texts, and texts of one group, stay together; otherwise the model would be judged by
    what it has seen.
    """
    units: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        units[row.group or " ".join(row.text.lower().split())].append(row)
    strata: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for key, members in units.items():
        strata[tuple(sorted({row.label for row in members}))].append(key)
    held_out: set[str] = set()
    for keys in strata.values():
        keys.sort(key=lambda key: hashlib.sha256(key.encode()).digest())
        held_out.update(keys[: max(1, round(_HELD_OUT * len(keys))) if len(keys) > 1 else 0])
    parts = [
        _examples([row for key, members in units.items() if (key in held_out) is out
                   for row in members])
        for out in (False, True)
    ]  # fmt: skip
    if len(set(parts[0].labels)) < len({row.label for row in rows}) or not parts[1].texts:
        raise _invalid("There are too few different texts.", "data", "at least two of each class")
    return Split(
        train=parts[0],
        held_out=parts[1],
        digest=hashlib.sha256(orjson.dumps([list(row) for row in rows])).hexdigest(),
        source=source,
        rows=(len(parts[0].texts), len(parts[1].texts)),
    )


def _examples(rows: list[Row]) -> Examples:
    return Examples(
        [row.text for row in rows], [row.label for row in rows], [row.device for row in rows]
    )


def _bad(line: int, what: str, expected: str) -> InvalidInputError:
    return _invalid(f"Line {line} {what}.", f"line {line}", expected)


def _invalid(message: str, where: str, expected: str) -> InvalidInputError:
    return InvalidInputError(message, where=where, expected=expected)
