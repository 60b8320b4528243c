"""The newest predictions of a version, out of its records, as what drift is measured by."""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.core.errors import InvalidInputError
from services.core.settings import Settings
from services.families._judging import judge_of
from services.families.base import Family, Picture
from services.ledger import blobs
from services.ledger.database import drift
from services.ledger.database.drift import Key
from services.ledger.database.opening import Database
from services.ledger.places import Places
from services.ledger.records import Record, parse
from services.monitoring.drift.describe import MAX_ROWS, describe
from services.monitoring.drift.samples import Sample

RECORDED, PARTLY, NOT_RECORDED = "recorded", "partly", "not recorded"
# Bytes of records and blobs that one look reads; a window of them is smaller than asked for.
_MOST_BYTES = 128 * 1024 * 1024
_MOST_BLOB_BYTES = 32 * 1024 * 1024
# Versions whose described predictions stay in memory until the next look.
_MOST_VERSIONS = 64


@dataclass(frozen=True, slots=True)
class Row:
    """A prediction as it was described: its samples, and whether its input was on record."""

    samples: tuple[Sample, ...]
    recorded: bool


@dataclass(frozen=True, slots=True)
class Window:
    """The newest rows of a version.

    Attributes:
        samples: the rows, the newest prediction's first.
        predictions: of how many predictions they are.
        first, last: when the oldest and the newest of them was made, in microseconds; None: none.
        inputs: whether what was asked is on record: `recorded`, `partly` or `not recorded`.
    """

    samples: Sequence[Sample]
    predictions: int
    first: int | None
    last: int | None
    inputs: str


class Reader:
    """Reads windows; what was described for the last one is not read again."""

    def __init__(
        self, settings: Settings, families: Mapping[str, Family], database: Database
    ) -> None:
        self._places = Places(settings.data_dir)
        self._families = families
        self._database = database
        self._kept: OrderedDict[tuple[Key, tuple[str, ...]], dict[str, Row]] = OrderedDict()

    def newest(
        self, key: Key, since: int, rows: int, until: int | None = None
    ) -> list[tuple[str, int]]:
        """Return id and time of the newest predictions, at most so many.

        Raises:
            LedgerUnavailableError: the database does not answer.
        """
        with self._database.reading() as connection:
            return drift.newest(connection, key, since, rows, until)

    def window(
        self, key: Key, found: Sequence[tuple[str, int]], rows: int, fields: Sequence[str]
    ) -> Window:
        """Return the rows of predictions that `newest` found, at most so many.

        Args:
            fields: names of the model's inputs in order, for rows without names.

        Raises:
            LedgerUnavailableError: the database does not answer.
        """
        known = self._described(key, [id for id, _ in found], fields)
        samples: list[Sample] = []
        times, recorded = [], []
        for id, time in found:
            row = known.get(id)
            if row is None:
                continue
            samples += row.samples[: rows - len(samples)]
            times.append(time)
            recorded.append(row.recorded)
            if len(samples) >= rows:
                break
        return Window(
            samples, len(times), min(times, default=None), max(times, default=None), _said(recorded)
        )

    def _described(self, key: Key, ids: list[str], fields: Sequence[str]) -> dict[str, Row]:
        place = (key, tuple(fields))
        before = self._kept.get(place, {})
        known = {id: before[id] for id in ids if id in before}
        left = _MOST_BYTES
        with self._database.reading() as connection:
            for id, payload in drift.records(connection, [id for id in ids if id not in known]):
                try:
                    record = parse(payload)
                except InvalidInputError:
                    continue
                row, read = self._row(record, fields)
                known[id] = row
                left -= len(payload) + read
                if left <= 0:
                    break
        self._kept[place] = known
        self._kept.move_to_end(place)
        while len(self._kept) > _MOST_VERSIONS:
            self._kept.popitem(last=False)
        return known

    def _row(self, record: Record, fields: Sequence[str]) -> tuple[Row, int]:
        """Return what a record says, and how many bytes were read besides it."""
        given, read = record.input, 0
        if record.input_ref is not None:
            data = self._blob(record.input_ref)
            given, read = _decoded(record.input_ref, data), len(data or b"")
        output = record.output
        if record.output_ref is not None:
            data = self._blob(record.output_ref)
            output, read = _decoded(record.output_ref, data), read + len(data or b"")
        labels = judge_of(self._families, record.family).answered(output)
        samples = describe(
            given, output, record.confidence, labels=labels, fields=fields, max_rows=MAX_ROWS
        )
        recorded = any(sample.features or sample.hidden for sample in samples)
        return Row(tuple(samples), recorded), read

    def _blob(self, name: str) -> bytes | None:
        try:
            path = blobs.path(self._places, name)
            if path.stat().st_size > _MOST_BLOB_BYTES:
                return None
            return path.read_bytes()
        except (OSError, ValueError):
            # It had its time, or lies on the machine that answered.
            return None


def _decoded(name: str, data: bytes | None) -> Any:
    if data is None:
        return None
    if not name.endswith(".json"):
        return Picture(data)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _said(recorded: Sequence[bool]) -> str:
    if all(recorded):
        return RECORDED
    return PARTLY if any(recorded) else NOT_RECORDED
