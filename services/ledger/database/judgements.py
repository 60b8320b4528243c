"""Answers beside what would have been right: written with the feedback, read by version.

A judgement holds all that quality is computed from, so that it outlives its prediction, which may
be forgotten sooner.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, and_, delete, or_, select

from services.ledger.database.quality_tables import feedback_counts, judgements, qualities
from services.ledger.database.statements import clean, insert, pieces

# Of `feedback_counts`, beside `feedback` and `expectation`, what people said: those expectations
# that count. Why others do not is a kind too.
JUDGED = "judged"
# Judgements that one look takes from the database at once, and removes at once.
_AT_ONCE = 200
_MOST_REMOVED = 5000

# Model and version.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A prediction that somebody said the right answer to.

    Attributes:
        number: of the expectation: the newest counts.
        family: that made the answer; None where the record does not say.
        time: when the prediction was made, in microseconds since 1970 (UTC).
        answer, truth: JSON values of the family's own (`Judging.comparable`, `Judging.truth`).
        bytes: that both take, about.
    """

    prediction_id: str
    number: int
    model: str
    version: str
    family: str | None
    time: int
    answer: Any
    truth: Any
    bytes: int


@dataclass(frozen=True, slots=True)
class Quality:
    """What the window of a version says.

    Attributes:
        counted: how many judgements had come when it was computed.
        computed: when, in microseconds since 1970 (UTC).
        samples: judged predictions in the window.
        reference: held-out values by metric; None: not asked for yet.
    """

    model: str
    version: str
    counted: int
    computed: int
    samples: int
    metrics: dict[str, float]
    reference: dict[str, float] | None = None


def find(connection: Connection, prediction_id: str) -> Judgement | None:
    """Return the judgement of a prediction, if there is one."""
    row = connection.execute(
        select(judgements).where(judgements.c.prediction_id == prediction_id)
    ).one_or_none()
    return None if row is None else Judgement(*row)


def put(connection: Connection, one: Judgement) -> None:
    """Keep a judgement, in place of an older one of its prediction, but not of a newer one."""
    values = asdict(
        replace(
            one,
            model=clean(one.model, 256) or "",
            version=clean(one.version, 64) or "",
            family=clean(one.family, 64),
        )
    )
    row = insert(connection, judgements).values(**values)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[judgements.c.prediction_id],
            set_={name: row.excluded[name] for name in values if name != "prediction_id"},
            where=judgements.c.number < row.excluded.number,
        )
    )


def count(connection: Connection, key: Key, kind: str, by: int = 1) -> None:
    """Add to how much feedback of a kind came for a version."""
    columns = feedback_counts.c
    model, version = clean(key[0], 256), clean(key[1], 64)
    row = insert(connection, feedback_counts).values(
        model=model, version=version, kind=kind, count=by
    )
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[columns.model, columns.version, columns.kind],
            set_={"count": columns.count + by},
        )
    )


def counts(connection: Connection) -> dict[tuple[str, str, str], int]:
    """Return how much feedback came, by model, version and kind."""
    rows = connection.execute(select(feedback_counts))
    return {(row.model, row.version, row.kind): row._mapping["count"] for row in rows}


def window(
    connection: Connection, key: Key, since: int, limit: int, most_bytes: int
) -> list[Judgement]:
    """Return the judgements of a version's newest predictions, newest first.

    Read from the end of the index `ix_judgements_window`.

    Args:
        since: of the prediction, in microseconds since 1970; that very time is in it.
        most_bytes: of answers and truths together: with more, the oldest are left out.
    """
    columns = judgements.c
    rows = connection.execution_options(yield_per=_AT_ONCE).execute(
        select(judgements)
        .where(columns.model == key[0], columns.version == key[1], columns.time >= since)
        .order_by(columns.time.desc())
        .limit(limit)
    )
    found: list[Judgement] = []
    left = most_bytes
    for row in rows:
        left -= row.bytes
        if left < 0 and found:
            break
        found.append(Judgement(*row))
    rows.close()
    return found


def due(connection: Connection, before: int, limit: int) -> Iterator[tuple[Key, int]]:
    """Yield versions whose quality is not that of their judgements, and how many of these came.

    Args:
        before: what was computed before that time (microseconds) is due as well: windows slide.
    """
    totals, known = feedback_counts.c, qualities.c
    same = and_(totals.model == known.model, totals.version == known.version)
    old = and_(known.samples > 0, known.computed < before)
    rows = connection.execute(
        select(totals.model, totals.version, totals["count"])
        .select_from(feedback_counts.outerjoin(qualities, same))
        .where(
            totals.kind == JUDGED,
            or_(known.counted.is_(None), known.counted != totals["count"], old),
        )
        .order_by(known.computed)
        .limit(limit)
    )
    for model, version, total in rows.all():
        yield (model, version), total


def save(connection: Connection, one: Quality) -> None:
    """Write down what a window says; a reference that is known stays."""
    values = asdict(one)
    row = insert(connection, qualities).values(**values)
    kept = ("model", "version", "reference") if one.reference is None else ("model", "version")
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[qualities.c.model, qualities.c.version],
            set_={name: row.excluded[name] for name in values if name not in kept},
        )
    )


def all_qualities(connection: Connection, model: str | None = None) -> list[Quality]:
    """Return what is known of every version, or of those of one model."""
    wanted = [] if model is None else [qualities.c.model == model]
    rows = connection.execute(
        select(qualities).where(*wanted).order_by(qualities.c.model, qualities.c.version)
    )
    return [Quality(*row) for row in rows]


def shorten(connection: Connection, key: Key, keep: int, before: int) -> int:
    """Remove judgements of a version that no window has any more; return how many went.

    Args:
        keep: how many of the newest stay.
        before: what was made before that time (microseconds) goes as well.
    """
    columns = judgements.c
    of = and_(columns.model == key[0], columns.version == key[1])
    last = connection.scalar(
        select(columns.time).where(of).order_by(columns.time.desc()).offset(keep).limit(1)
    )
    # Those of one time go or stay together.
    bound = before if last is None else max(before, last + 1)
    ids = connection.scalars(
        select(columns.prediction_id)
        .where(of, columns.time < bound)
        .order_by(columns.time.desc())
        .limit(_MOST_REMOVED)
    ).all()
    for piece in pieces(ids):
        connection.execute(delete(judgements).where(judgements.c.prediction_id.in_(piece)))
    return len(ids)
