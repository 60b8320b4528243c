"""Batch jobs: their items, one after the other, and the lines that become of them.

The payload is a blob: lines of JSON, or a ZIP archive of pictures. Its items are counted from 0.
What is done is a row of chunks, each a blob with one line for each item; the output is all of
them in order.
"""

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from services.core.errors import SlipwayError
from services.jobs import zips
from services.ledger.database.job_chunks import Chunk
from services.ledger.encoding import json_bytes

JSONL, ZIP = "jsonl", "zip"
OUTPUT = "jsonl"
# Items of a chunk, and the seconds that one should take: as much is done again after a kill.
_MOST = 256
_SECONDS = 2.0
_FIRST = 8
_GROWTH = 4


class Store(Protocol):
    """What is needed of the blob store."""

    def stream(self, ref: str) -> Iterator[bytes]: ...  # noqa: D102
    def put_file(self, file: BinaryIO, suffix: str) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch job is to do: its options.

    Attributes:
        kind: of the payload, `jsonl` or `zip`.
        items: how many there are.
        threshold: for models that find objects; None: the model's own.
    """

    kind: str
    items: int
    version: str | None = None
    stage: str | None = None
    threshold: float | None = None

    def options(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Batch":
        """Return what a job's options say."""
        return cls(
            kind=options["kind"],
            items=options["items"],
            version=options.get("version"),
            stage=options.get("stage"),
            threshold=options.get("threshold"),
        )


@dataclass(frozen=True, slots=True)
class Item:
    """One input.

    Attributes:
        data: a line of JSON, or a picture's file.
        name: of the file in its archive.
        error: why it could not be read.
    """

    index: int
    data: bytes = b""
    name: str | None = None
    error: SlipwayError | None = None


def line(
    index: int,
    name: str | None,
    *,
    id: str | None = None,
    version: str | None = None,
    output: Any = None,
    error: SlipwayError | None = None,
) -> bytes:
    """Return an item's line of the output.

    Args:
        name: of the file, where items are files.
        id: of the prediction, where it is on record.
    """
    shown: dict[str, Any] = {"index": index, "id": id}
    if name is not None:
        shown["name"] = name
    shown["status"] = "succeeded" if error is None else "failed"
    if version is not None:
        shown["model_version"] = version
    if error is None:
        shown["output"] = output
    else:
        shown["error"] = _told(error)
    return json_bytes(shown) + b"\n"


def items(kind: str, file: BinaryIO, largest: int, first: int = 0) -> Iterator[Item]:
    """Yield the items of a payload from number `first` on.

    Args:
        largest: bytes of one picture.

    Raises:
        BrokenZipError: it should be an archive, and is none.
    """
    if kind == ZIP:
        yield from _pictures(file, largest, first)
    else:
        lines = (line for line in map(bytes.strip, file) if line)
        for index, line in enumerate(islice(lines, first, None), first):
            yield Item(index, line)


def _pictures(file: BinaryIO, largest: int, first: int) -> Iterator[Item]:
    with zips.opened(file) as archive:
        entries = zips.files(archive)
        for index, entry in enumerate(entries[first:], first):
            name = zips.label(entry)
            try:
                yield Item(index, zips.read(archive, entry, largest), name)
            except SlipwayError as error:
                yield Item(index, name=name, error=error)


class Pace:
    """How many items the next chunk takes, by how long the last ones took."""

    def __init__(self) -> None:
        self._size = _FIRST
        # Items in a second; None before the first chunk.
        self.rate: float | None = None

    @property
    def size(self) -> int:
        """Items of the next chunk."""
        return self._size

    def took(self, count: int, seconds: float) -> None:
        """Learn from a chunk."""
        rate = count / max(seconds, 1e-6)
        self.rate = rate if self.rate is None else (self.rate + rate) / 2
        self._size = max(1, min(_MOST, self._size * _GROWTH, int(rate * _SECONDS)))


def progress(batch: Batch, succeeded: int, failed: int, rate: float | None) -> dict[str, Any]:
    """Return how far a job is, as its row holds it; `rate` in items a second."""
    return {
        "items": batch.items,
        "done": succeeded + failed,
        "succeeded": succeeded,
        "failed": failed,
        "rate": None if rate is None else round(rate, 3),
    }


def output(store: Store, chunks: list[Chunk], folder: Path) -> str:
    """Put all chunks together to one blob; return its name.

    Args:
        folder: for what does not fit into memory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        for chunk in chunks:
            for piece in store.stream(chunk.ref):
                file.write(piece)
        file.seek(0)
        return store.put_file(file, OUTPUT)


def _told(error: SlipwayError) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": error.message,
        "where": error.where,
        "expected": error.expected,
        "received": error.received,
    }
