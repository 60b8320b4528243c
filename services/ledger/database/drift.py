"""What looks at drift found, and the predictions that they look at. Times: microseconds, UTC."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, select, update

from services.ledger.database.statements import clean, insert, pieces
from services.ledger.database.tables import drift_history, drift_states, predictions
from services.ledger.records import SUCCEEDED

# Looks that are kept of a version.
MOST_HISTORY = 500
# Predictions whose records are read at once: up to 64 kB each.
_AT_ONCE = 50

# Model and version.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class State:
    """What the last look at a version found.

    Attributes:
        stage: `production`, `staging`, or None where it holds neither any more.
        checked: when it was looked at.
        verdict: `ok`, `drift`, `not_enough_data` or `no_baseline`.
        score: 1 is where the alarm is; None without a verdict.
        samples: that the window held.
        missing: how many more a verdict needs.
        since: when the drift began that there is now.
        told: the verdict that MLflow's tag says.
        report: all of it, as JSON values.
    """

    model: str
    version: str
    stage: str | None
    checked: int
    verdict: str
    score: float | None = None
    samples: int = 0
    missing: int = 0
    since: int | None = None
    told: str | None = None
    report: Any = None


@dataclass(frozen=True, slots=True)
class Look:
    """One look of a version's history; see `State`."""

    checked: int
    verdict: str
    score: float | None
    samples: int


def states(
    connection: Connection, model: str | None = None, version: str | None = None
) -> list[State]:
    """Return what is known of every version, of one model's, or of one."""
    columns = drift_states.c
    wanted = [columns.model == model] if model is not None else []
    if version is not None:
        wanted.append(columns.version == version)
    rows = connection.execute(
        select(drift_states).where(*wanted).order_by(columns.model, columns.version)
    )
    return [State(**row) for row in rows.mappings()]


def keep(connection: Connection, state: State, *, looked: bool) -> None:
    """Write a version's state down.

    Args:
        looked: it was found by a look, which goes into the history.
    """
    state = replace(
        state,
        model=clean(state.model, 256) or "",
        version=clean(state.version, 64) or "",
    )
    columns = drift_states.c
    values = asdict(state)
    row = insert(connection, drift_states).values(**values)
    new = {name: value for name, value in values.items() if name not in ("model", "version")}
    connection.execute(
        row.on_conflict_do_update(index_elements=[columns.model, columns.version], set_=new)
    )
    if looked:
        names = ("model", "version", "checked", "verdict", "score", "samples")
        connection.execute(
            insert(connection, drift_history).values(**{name: values[name] for name in names})
        )
        _shorten(connection, state)


def told(connection: Connection, key: Key, verdict: str) -> None:
    """Note what MLflow's tag says now."""
    connection.execute(update(drift_states).where(_is(key)).values(told=verdict))


def retire(connection: Connection, stages: Mapping[Key, str], before: int) -> None:
    """Note which versions are looked at, and forget those that have long not been.

    Args:
        stages: of those that are.
        before: what was looked at last before that time goes, with its history.
    """
    for state in states(connection):
        key = (state.model, state.version)
        if key in stages:
            continue
        if state.checked < before:
            connection.execute(delete(drift_states).where(_is(key)))
            connection.execute(delete(drift_history).where(_of(key)))
        elif state.stage is not None:
            connection.execute(update(drift_states).where(_is(key)).values(stage=None))


def history(connection: Connection, key: Key, limit: int) -> list[Look]:
    """Return the last looks at a version, the newest first."""
    columns = drift_history.c
    rows = connection.execute(
        select(columns.checked, columns.verdict, columns.score, columns.samples)
        .where(_of(key))
        .order_by(columns.number.desc())
        .limit(limit)
    )
    return [Look(*row) for row in rows]


def newest(
    connection: Connection, key: Key, since: int, limit: int, until: int | None = None
) -> list[tuple[str, int]]:
    """Return id and time of a version's newest predictions that succeeded, the newest first.

    Read from the index `ix_predictions_model_version`, from its end: what failed in between costs
    a look at its row.

    Args:
        since: those of that very time are among them.
        until: those of that very time are not.
    """
    columns = predictions.c
    wanted = [
        columns.model == key[0],
        columns.version == key[1],
        columns.time >= since,
        columns.status == SUCCEEDED,
    ]
    if until is not None:
        wanted.append(columns.time < until)
    rows = connection.execute(
        select(columns.id, columns.time).where(*wanted).order_by(columns.time.desc()).limit(limit)
    )
    return [(row.id, row.time) for row in rows]


def records(connection: Connection, ids: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield id and record of predictions, a few of them in memory at a time, in no order."""
    columns = predictions.c
    for piece in pieces(ids, _AT_ONCE):
        rows = connection.execute(select(columns.id, columns.record).where(columns.id.in_(piece)))
        yield from ((row.id, bytes(row.record)) for row in rows)


def _shorten(connection: Connection, state: State) -> None:
    """Forget the looks beyond the last few hundred."""
    columns = drift_history.c
    of = _of((state.model, state.version))
    last = connection.scalar(
        select(columns.number)
        .where(of)
        .order_by(columns.number.desc())
        .offset(MOST_HISTORY)
        .limit(1)
    )
    if last is not None:
        connection.execute(delete(drift_history).where(of, columns.number <= last))


def _is(key: Key) -> ColumnElement[bool]:
    return and_(drift_states.c.model == key[0], drift_states.c.version == key[1])


def _of(key: Key) -> ColumnElement[bool]:
    return and_(drift_history.c.model == key[0], drift_history.c.version == key[1])
