"""Who is there to do jobs, and what the last look at the system's parts found. Times: µs, UTC."""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, select

from services.ledger.database.job_tables import checks, workers
from services.ledger.database.statements import clean, insert


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that does jobs: what it said of itself last.

    Attributes:
        name: of the process; another one after a restart.
        seen: when it said so.
        running: jobs that it was at.
    """

    name: str
    queue: str
    host: str
    pid: int
    started: int
    seen: int
    running: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """A part of the system, such as `redis`: `healthy` or not, and how long the look took."""

    name: str
    status: str
    detail: str | None
    checked: int
    seconds: float


def seen(connection: Connection, worker: Worker) -> None:
    """Note that a worker is there."""
    _put(connection, workers, asdict(worker))


def gone(connection: Connection, name: str) -> None:
    """Forget a worker."""
    connection.execute(delete(workers).where(workers.c.name == name))


def present(connection: Connection, since: int) -> list[Worker]:
    """Return the workers that were there at that time or later."""
    rows = connection.execute(
        select(workers).where(workers.c.seen >= since).order_by(workers.c.queue, workers.c.name)
    )
    return [Worker(**row) for row in rows.mappings()]


def forget(connection: Connection, before: int) -> int:
    """Forget the workers that nobody has heard of since; return how many."""
    return connection.execute(delete(workers).where(workers.c.seen < before)).rowcount


def checked(
    connection: Connection, name: str, status: str, detail: str | None, seconds: float, now: int
) -> None:
    """Note what a look at a part of the system found."""
    values = {"name": name, "status": status, "detail": clean(detail, 500)}
    _put(connection, checks, values | {"seconds": seconds, "checked": now})


def all_checks(connection: Connection) -> list[Check]:
    """Return what was found last, of every part."""
    rows = connection.execute(select(checks).order_by(checks.c.name))
    return [Check(**row) for row in rows.mappings()]


def _put(connection: Connection, table: Table, values: dict[str, Any]) -> None:
    new = {name: value for name, value in values.items() if name != "name"}
    row = insert(connection, table).values(**values)
    connection.execute(row.on_conflict_do_update(index_elements=[table.c.name], set_=new))
