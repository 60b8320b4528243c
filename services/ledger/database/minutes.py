"""What happened in each minute, by model and version: what MLflow's charts are drawn from.

Durations are counted in buckets, each 2 % wider than the one before; a bucket's middle is within
1 % of all that it holds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, select, text, tuple_, update

from services.ledger.database.statements import clean, insert, pieces
from services.ledger.database.tables import UNTOLD, minutes
from services.ledger.records import FAILED, Record

_RATIO = 1.02
_LOG = math.log(_RATIO)
# Seconds. Bucket 0 holds all that is not longer.
_SHORTEST = 1e-6
# 1e-6 * 1.02 ** 1400 are twelve days.
_LAST = 1400
_ROWS = 100

Histogram = Mapping[str, int]
Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Minute:
    """A minute of one version of a model.

    Attributes:
        minute: whole minutes since 1970 (UTC).
        count: predictions, however they ended.
        errors: those of them that failed.
        confidence_sum: of the `confidence_count` predictions that have a confidence.
        histogram: predictions by the bucket of their duration, see `bucket`.
        shipped_count: what of `count` MLflow has been told.
    """

    model: str
    version: str
    minute: int
    count: int
    errors: int
    confidence_sum: float
    confidence_count: int
    histogram: Histogram
    shipped_count: int


@dataclass(slots=True)
class _Tally:
    count: int = 0
    errors: int = 0
    confidence_sum: float = 0.0
    confidence_count: int = 0
    histogram: dict[str, int] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        self.count += 1
        self.errors += record.status == FAILED
        confidence = confidence_of(record)
        if confidence is not None:
            self.confidence_sum += confidence
            self.confidence_count += 1
        key = str(bucket(record.seconds))
        self.histogram[key] = self.histogram.get(key, 0) + 1

    def merge(self, row: Any) -> None:
        self.count += row.count
        self.errors += row.errors
        self.confidence_sum += row.confidence_sum
        self.confidence_count += row.confidence_count
        for key, count in row.histogram.items():
            self.histogram[key] = self.histogram.get(key, 0) + count


def minute_of(time: float) -> int:
    """Return the minute that a time belongs to, in whole minutes since 1970.

    Args:
        time: in seconds since 1970.
    """
    return math.floor(time / 60)


def confidence_of(record: Record) -> float | None:
    """Return a record's confidence, where it has one that is a number."""
    value = record.confidence
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def bucket(seconds: float) -> int:
    """Return the bucket of a duration: 0 for a microsecond or less, 1400 at most."""
    if not seconds > _SHORTEST:
        return 0
    if seconds == math.inf:
        return _LAST
    return min(_LAST, math.ceil(math.log(seconds / _SHORTEST) / _LOG))


def quantile(histogram: Histogram, q: float) -> float:
    """Return the duration in seconds below which the share `q` lies, within 1 %; NaN of nothing."""
    wanted = max(1, math.ceil(q * sum(histogram.values())))
    seen = 0
    for key in sorted(histogram, key=int):
        seen += histogram[key]
        if seen >= wanted:
            # The middle of the bucket, in the scale of its borders.
            return _SHORTEST * _RATIO ** (int(key) - 0.5 if int(key) else 0)
    return math.nan


def count(connection: Connection, records: Iterable[Record]) -> None:
    """Add predictions to their minutes, in the transaction that indexes them."""
    tallies: dict[Key, _Tally] = {}
    for record in records:
        key = (
            clean(record.model, 256) or "",
            clean(record.version, 64) or "",
            minute_of(record.time),
        )
        tally = tallies.get(key)
        if tally is None:
            tally = tallies[key] = _Tally()
        tally.add(record)
    for keys in pieces(sorted(tallies), _ROWS):
        _merge(connection, keys, tallies)


def closed(connection: Connection, before_minute: int, limit: int) -> list[Minute]:
    """Return the oldest minutes before one, of which MLflow has not been told all."""
    rows = connection.execute(
        select(minutes)
        .where(minutes.c.minute < before_minute, text(UNTOLD))
        .order_by(minutes.c.minute, minutes.c.model, minutes.c.version)
        .limit(limit)
    )
    return [Minute(**row) for row in rows.mappings()]


def mark_shipped(connection: Connection, shipped: Sequence[Minute]) -> None:
    """Note what MLflow has been told: the minutes as `closed` gave them.

    What was added to a minute since is told the next time.
    """
    if not shipped:
        return
    statement = (
        update(minutes)
        .where(
            minutes.c.model == bindparam("of_model"),
            minutes.c.version == bindparam("of_version"),
            minutes.c.minute == bindparam("of_minute"),
        )
        .values(shipped_count=bindparam("told"))
    )
    connection.execute(
        statement,
        [
            {"of_model": m.model, "of_version": m.version, "of_minute": m.minute, "told": m.count}
            for m in shipped
        ],
    )


def _merge(connection: Connection, keys: Sequence[Key], tallies: Mapping[Key, _Tally]) -> None:
    of_row = tuple_(minutes.c.model, minutes.c.version, minutes.c.minute)
    # Locked, so that `retention.prune` in another process does not remove what is being counted.
    known = select(minutes).where(of_row.in_(keys)).with_for_update()
    for row in connection.execute(known).all():
        tallies[(row.model, row.version, row.minute)].merge(row)
    statement = insert(connection, minutes)
    counted = ("count", "errors", "confidence_sum", "confidence_count", "histogram")
    statement = statement.on_conflict_do_update(
        index_elements=[minutes.c.model, minutes.c.version, minutes.c.minute],
        set_={name: statement.excluded[name] for name in counted},
    )
    connection.execute(
        statement,
        [
            {
                "model": key[0],
                "version": key[1],
                "minute": key[2],
                **{name: getattr(tallies[key], name) for name in counted},
            }
            for key in keys
        ],
    )
