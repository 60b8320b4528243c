"""Which MLflow run holds the predictions of a model's version on a day."""

from sqlalchemy import ColumnElement, Connection, and_, delete, select

from services.ledger.database.statements import insert
from services.ledger.database.tables import serving_runs

# The experiment and the run.
Run = tuple[str, str]


def serving_run(connection: Connection, model: str, version: str, day: str) -> Run | None:
    """Return (experiment id, run id), or None where none is known.

    Args:
        day: `2026-11-21` (UTC).
    """
    row = connection.execute(
        select(serving_runs.c.experiment_id, serving_runs.c.run_id).where(_is(model, version, day))
    ).one_or_none()
    return None if row is None else (row.experiment_id, row.run_id)


def remember_run(
    connection: Connection, model: str, version: str, day: str, experiment_id: str, run_id: str
) -> Run:
    """Keep a run, and return the one that is kept: the first that anybody remembered."""
    connection.execute(
        insert(connection, serving_runs)
        .values(model=model, version=version, day=day, experiment_id=experiment_id, run_id=run_id)
        .on_conflict_do_nothing()
    )
    return serving_run(connection, model, version, day) or (experiment_id, run_id)


def forget_run(connection: Connection, model: str, version: str, day: str) -> None:
    """Forget a run, as when it was deleted for good in MLflow."""
    connection.execute(delete(serving_runs).where(_is(model, version, day)))


def _is(model: str, version: str, day: str) -> ColumnElement[bool]:
    columns = serving_runs.c
    return and_(columns.model == model, columns.version == version, columns.day == day)
