"""A sealed segment as Parquet parts: one file for each model version and day in it.

Name and rows of a part depend on the segment alone, so making and sending it again changes
nothing. A record that fits no row is set apart with the reason; it never holds up the others.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from services.core.errors import InvalidInputError
from services.ledger.reading import Segment, read
from services.ledger.records import Record, parse

# Model, version and day (UTC): what a serving run is for.
Key = tuple[str, str, str]

_FOLDER = "predictions"
_AT_ONCE = 500
_DAY_SECONDS = 86_400
_FIRST_DAY = date(1970, 1, 1)
# Worth a dictionary: few values, many rows. Ids and JSON differ in each.
_REPEATED = ["model", "version", "stage", "mode", "caller", "status", "error_code"]
# Lets a reader skip parts and row groups by time. For the rest it would only cost space.
_WITH_STATISTICS = ["time"]
_BAD_VALUE = (
    pa.ArrowException, TypeError, ValueError, OverflowError, OSError, AttributeError, KeyError
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """A finished file.

    Attributes:
        file: it lies in a folder of its own, under the name that it has in MLflow.
        folder: where it belongs among the artifacts of its run.
    """

    key: Key
    file: Path
    rows: int
    folder: str = _FOLDER


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that fits no row, and why."""

    payload: bytes
    error: str


@dataclass(frozen=True, slots=True)
class Picture:
    """An annotated picture: the blob `name` belongs to a prediction."""

    key: Key
    prediction_id: str
    name: str


@dataclass(slots=True)
class Parts:
    """What became of a segment. `unreadable` counts what is no record; indexing buries those."""

    parts: list[Part] = field(default_factory=list)
    unreadable: int = 0
    refused: list[Refused] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)


def write_parts(segment: Segment, folder: Path) -> Parts:
    """Write a sealed segment's parts below `folder`.

    Raises:
        FileNotFoundError: the segment was removed meanwhile.
        OSError: the disk takes no more.
    """
    with ExitStack() as stack:
        writing = _Writing(folder, f"{segment.writer}-{segment.number:08d}", stack)
        for payloads in _pieces(segment):
            writing.add(payloads)
    return writing.done()


def payloads_of(segment: Segment, key: Key) -> list[bytes]:
    """Return the rows of one part of a segment, as they stand in the journal.

    Raises:
        FileNotFoundError: the segment was removed meanwhile.
    """
    found: dict[str, bytes] = {}
    for payloads in _pieces(segment):
        for payload in payloads:
            with suppress(InvalidInputError, *_BAD_VALUE):
                record = parse(payload)
                if key_of(record) == key:
                    found.setdefault(record.id, payload)
    return list(found.values())


def write_records(payloads: Sequence[bytes], folder: Path, name: str) -> Parts:
    """Write parts of records from anywhere; their files are called `<name>.parquet`."""
    with ExitStack() as stack:
        writing = _Writing(folder, name, stack)
        writing.add(payloads)
    return writing.done()


def table(records: Sequence[Record]) -> pa.Table:
    """Return records as rows of `SCHEMA`.

    Raises:
        pyarrow.ArrowException, TypeError, ValueError, …: one of them fits no row.
    """
    columns = [pa.array([get(one) for one in records], kind) for _, kind, get in _COLUMNS]
    return pa.table(columns, schema=SCHEMA)


def _pieces(segment: Segment) -> Iterator[list[bytes]]:
    """Yield a sealed segment's records, a few MiB at a time."""
    offset, finished = 0, False
    while not finished:
        chunk = read(segment, offset)
        yield [entry.payload for entry in chunk.records]
        finished = chunk.finished or chunk.next_offset == offset
        offset = chunk.next_offset


class _Writing:
    """Parts that are being written, a piece of the segment at a time."""

    def __init__(self, folder: Path, name: str, stack: ExitStack) -> None:
        self._folder, self._name, self._stack = folder, name, stack
        self._found = Parts()
        self._seen: set[str] = set()
        self._writers: dict[Key, tuple[pq.ParquetWriter, Path]] = {}
        self._rows: dict[Key, int] = defaultdict(int)

    def add(self, payloads: Sequence[bytes]) -> None:
        """Append records, the first one of each id, to the parts that they belong to."""
        tables: dict[Key, list[Any]] = defaultdict(list)
        # A few at a time: many objects that live long are what Python's collector is slow with.
        for start in range(0, len(payloads), _AT_ONCE):
            for key, records in self._grouped(payloads[start : start + _AT_ONCE]).items():
                tables[key] += self._tables(records)
        for key, some in tables.items():
            if some:
                table = pa.concat_tables(some)
                self._writer(key).write_table(table)
                self._rows[key] += table.num_rows

    def done(self) -> Parts:
        """Return what was written, once the files are closed."""
        for key, (_, file) in self._writers.items():
            self._found.parts.append(Part(key, file, self._rows[key]))
        return self._found

    def _grouped(self, payloads: Sequence[bytes]) -> dict[Key, list[Record]]:
        groups: dict[Key, list[Record]] = defaultdict(list)
        for payload in payloads:
            try:
                record = parse(payload)
            except InvalidInputError:
                self._found.unreadable += 1
                continue
            if record.id in self._seen:
                continue
            self._seen.add(record.id)
            try:
                groups[key_of(record)].append(record)
            except _BAD_VALUE as error:
                self._refuse(record, error)
        return groups

    def _tables(self, records: Sequence[Record]) -> list[Any]:
        """Return records as tables; those that fit no row are left out."""
        try:
            columns = [pa.array([get(one) for one in records], kind) for _, kind, get in _COLUMNS]
        except _BAD_VALUE as error:
            if len(records) == 1:
                self._refuse(records[0], error)
                return []
            middle = len(records) // 2
            return self._tables(records[:middle]) + self._tables(records[middle:])
        self._found.pictures += [
            Picture(key_of(record), record.id, record.annotated)
            for record in records
            if isinstance(record.annotated, str)
        ]
        return [pa.table(columns, schema=SCHEMA)]

    def _writer(self, key: Key) -> pq.ParquetWriter:
        if key not in self._writers:
            file = self._folder / str(len(self._writers)) / f"{self._name}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            writer = pq.ParquetWriter(
                file,
                SCHEMA,
                compression="zstd",
                use_dictionary=_REPEATED,
                write_statistics=_WITH_STATISTICS,
                store_schema=False,
            )
            self._writers[key] = self._stack.enter_context(writer), file
        return self._writers[key][0]

    def _refuse(self, record: Record, error: Exception) -> None:
        self._found.refused.append(Refused(record.raw, f"{type(error).__name__}: {error}"))


def key_of(record: Record) -> Key:
    """Return which serving run a record belongs to.

    Raises:
        ValueError, OverflowError, OSError: no calendar has its day.
    """
    return record.model, record.version, _day(math.floor(record.time / _DAY_SECONDS))


@lru_cache(maxsize=64)
def _day(number: int) -> str:
    return (_FIRST_DAY + timedelta(days=number)).isoformat()


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _error(name: str) -> Callable[[Record], Any]:
    return lambda record: None if record.error is None else record.error.get(name)


def _phase(name: str) -> Callable[[Record], Any]:
    return lambda record: None if record.phases is None else record.phases.get(name)


_STRING, _SECONDS = pa.string(), pa.float64()
_COLUMNS: list[tuple[str, Any, Callable[[Record], Any]]] = [
    ("prediction_id", _STRING, lambda record: record.id),
    ("time", pa.timestamp("us", tz="UTC"), lambda record: round(record.time * 1e6)),
    ("model", _STRING, lambda record: record.model),
    ("version", _STRING, lambda record: record.version),
    ("stage", _STRING, lambda record: record.stage),
    ("mode", _STRING, lambda record: record.mode),
    ("caller", _STRING, lambda record: record.caller),
    ("request_id", _STRING, lambda record: record.request_id),
    ("status", _STRING, lambda record: record.status),
    ("error_code", _STRING, _error("code")),
    ("error_message", _STRING, _error("message")),
    ("input", _STRING, lambda record: _json(record.input)),
    ("input_digest", _STRING, lambda record: record.input_digest),
    ("input_ref", _STRING, lambda record: record.input_ref),
    ("output", _STRING, lambda record: _json(record.output)),
    ("output_ref", _STRING, lambda record: record.output_ref),
    ("seconds", _SECONDS, lambda record: record.seconds),
    ("queue_seconds", _SECONDS, _phase("queue")),
    ("preprocess_seconds", _SECONDS, _phase("preprocess")),
    ("inference_seconds", _SECONDS, _phase("inference")),
    ("postprocess_seconds", _SECONDS, _phase("postprocess")),
    ("confidence", _SECONDS, lambda record: record.confidence),
    ("cached", pa.bool_(), lambda record: record.cached),
]
SCHEMA = pa.schema([(name, kind) for name, kind, _ in _COLUMNS])
