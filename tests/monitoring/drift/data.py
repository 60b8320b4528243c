"""Data whose drift is known: the families' own, changed on purpose."""

import csv
import importlib
import inspect
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from services.families.digits.data import bundled
from services.families.sentiment.data import REVIEWS
from services.families.tabular.data import generated
from services.monitoring.drift.describe import describe
from services.monitoring.drift.samples import Sample

COLUMNS = [f"feature_{number}" for number in range(1, 21)]
# Reviews of what one watches, reads, hears and plays; all others are of another domain.
ENTERTAINMENT = {"films", "books", "music", "games", "series and podcasts", "theatre and events"}
_MODULES = (
    "argparse", "asyncio", "collections", "csv", "datetime", "decimal", "fractions", "http.client",
    "inspect", "json", "logging", "os", "pathlib", "random", "shutil", "socket", "sqlite3",
    "statistics", "subprocess", "tarfile", "tempfile", "threading", "unittest", "zipfile",
)  # fmt: skip


_bundled_digits = cache(bundled)


def shuffled(items: Sequence[Any], seed: int) -> list[Any]:
    order = np.random.default_rng(seed).permutation(len(items))
    return [items[int(index)] for index in order]


def table_rows(count: int) -> list[list[float]]:
    """Rows of the family tabular's generated table, in random order."""
    split = generated(count)
    return shuffled([*split.train.rows, *split.held_out.rows], 0)


def table_samples(rows: Sequence[Sequence[float]]) -> list[Sample]:
    """As they would be asked, with a made-up answer that depends on them."""
    found = []
    for row in rows:
        output = {"prediction": int(row[0] > 0), "confidence": 0.5 + 0.5 * abs(np.tanh(row[1]))}
        found += describe({"features": row}, output, fields=COLUMNS)
    return found


def moved(rows: Sequence[Sequence[float]], by: Sequence[float]) -> list[list[float]]:
    """Rows whose first columns are moved by so much."""
    added = [*by, *[0.0] * (len(rows[0]) - len(by))]
    return [[value + step for value, step in zip(row, added, strict=True)] for row in rows]


def digits(*, inverted: bool = False) -> list[Sample]:
    """All 1,797 digits as they would be asked, with their true labels for answers."""
    split = _bundled_digits()
    pictures = np.concatenate([split.train[0], split.held_out[0]])
    labels = np.concatenate([split.train[1], split.held_out[1]])
    if inverted:
        pictures = 255 - pictures
    return [
        sample
        for picture, label in zip(pictures, labels.tolist(), strict=True)
        for sample in describe(
            {"image": picture.reshape(-1).tolist()}, {"prediction": label}, fields=["image"]
        )
    ]


def texts(several: Sequence[str]) -> list[Sample]:
    """A prediction for each text."""
    return [s for text in several for s in describe({"reviews": [text]}, fields=["text"])]


def reviews() -> list[tuple[str, str]]:
    """Topic and text of all bundled reviews."""
    with REVIEWS.open(encoding="utf-8", newline="") as file:
        return [(row["topic"], row["text"]) for row in csv.DictReader(file)]


def documentation() -> list[str]:
    """Sentences of 4 to 26 words from the documentation of Python's standard library."""
    found = set()
    for name in _MODULES:
        for thing in vars(importlib.import_module(name)).values():
            text = inspect.getdoc(thing) if callable(thing) else None
            for paragraph in re.split(r"\n\s*\n", text or ""):
                words = paragraph.split()
                if 4 <= len(words) <= 26 and words[-1].endswith("."):
                    found.add(" ".join(words))
    return sorted(found)
