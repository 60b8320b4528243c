"""A baseline for a version that was registered without one: asked anew, or out of its records."""

import csv
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from services.core.errors import InvalidInputError
from services.families.base import Picture, TrainableFamily
from services.monitoring.drift.baseline import Baseline
from services.monitoring.drift_fitting import MOST_ROWS, Pair, answers, fit
from services.rollout import labelled
from services.rollout.subject import Subject
from services.training.listening import Heard, Listening

_CHUNK = 500
_MOST_PICTURES = 2000
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_EXPECTED = "a CSV file with a header, a .jsonl file of payloads, or a folder of pictures"


def from_data(
    subject: Subject, data: Path | None, target: str | None, digest: str | None
) -> Baseline:
    """Ask an opened version about data, and return the baseline of what it was asked and answered.

    A version that was trained here is asked what it was judged by. Others need `data`: examples,
    without labels or with them in `target`.

    Args:
        digest: of the data that it was trained on, where that is known.

    Raises:
        InvalidInputError: there are no data, not those, too few, or the version refuses them.
    """
    family = subject.family
    if isinstance(family, TrainableFamily) and not subject.foreign:
        pairs = _judged(subject, family, data, target, digest)
    elif data is None:
        raise InvalidInputError(
            "The model brings no data of its own.", where="--data", expected=_EXPECTED
        )
    else:
        pairs = answers(subject.model, list(_payloads(subject, data, target)))
    return fit(pairs, family, subject.signature)


def _judged(
    subject: Subject,
    family: TrainableFamily,
    data: Path | None,
    target: str | None,
    digest: str | None,
) -> list[Pair]:
    params = family.defaults()
    if target is not None and "target" in params:
        params["target"] = target
    split = family.read(data, params)
    if data is None and digest is not None and split.digest != digest:
        raise InvalidInputError(
            "The version was not trained on the data that come with its family.",
            where="--data",
            expected="the file that it was trained on",
        )
    heard = Heard()
    family.evaluate(Listening(subject.model, heard), split.held_out)
    return heard.pairs


def _payloads(subject: Subject, data: Path, target: str | None) -> Iterator[Any]:
    if data.is_dir():
        return _pictures(data)
    if data.suffix.lower() in (".jsonl", ".ndjson"):
        return _lines(data)
    return _rows(subject, data, target)


def _pictures(folder: Path) -> Iterator[Picture]:
    """Yield the pictures of a folder and those below it, in the order of their names' digests."""
    found = [path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES]
    found.sort(key=lambda path: sha256(path.name.encode()).digest())
    for path in found[:_MOST_PICTURES]:
        try:
            yield Picture(path.read_bytes())
        except OSError as error:
            raise _unreadable(path.name) from error


def _lines(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number > MOST_ROWS:
                    return
                if line.strip():
                    yield orjson.loads(line)
    except (OSError, orjson.JSONDecodeError) as error:
        raise _unreadable(path.name) from error


def _rows(subject: Subject, path: Path, target: str | None) -> Iterator[Any]:
    rows = _table(path, target)[:MOST_ROWS]
    size = min(_CHUNK, subject.max_rows)
    for start in range(0, len(rows), size):
        yield labelled.payload(rows[start : start + size], subject.signature)


def _table(path: Path, target: str | None) -> Sequence[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = list(reader.fieldnames or [])
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path.name) from error
    if not rows or any(None in row or None in row.values() for row in rows):
        raise _unreadable(path.name)
    if target is not None and target not in names:
        raise InvalidInputError(
            "The file has no such column.", where="--target", expected="one of " + ", ".join(names)
        )
    return [{name: row[name] for name in names if name != target} for row in rows]


def _unreadable(name: str) -> InvalidInputError:
    return InvalidInputError(
        f"{name!r} cannot be read as examples.", where="--data", expected=_EXPECTED
    )
