"""Counters of jobs that outlive every process, in the table of totals.

Each is kept in several rows, by whoever counts: in PostgreSQL a row that every worker changes
would make them commit one after the other.
"""

import zlib
from collections.abc import Mapping
from functools import lru_cache

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from services.ledger.database.statements import Insert, is_sqlite
from services.ledger.database.tables import totals

_SHARDS = 16
_MARK = "/"


def count(connection: Connection, values: Mapping[str, int], by: str) -> None:
    """Add to counters.

    Args:
        by: who counts, such as the name of a worker.
    """
    shard = zlib.crc32(by.encode()) % _SHARDS
    # In the order of their names, so that nobody waits for one who waits for them.
    rows = [
        {"name": f"{name}{_MARK}{shard:02}", "value": value}
        for name, value in sorted(values.items())
        if value
    ]
    if not rows:
        return
    connection.execute(_adding(is_sqlite(connection)), rows)


@lru_cache(maxsize=2)
def _adding(for_sqlite: bool) -> Insert:
    """Return the statement, built once: to build it costs more than to run it."""
    adding = sqlite.insert(totals) if for_sqlite else postgresql.insert(totals)
    return adding.on_conflict_do_update(
        index_elements=[totals.c.name],
        set_={"value": totals.c.value + adding.excluded.value},
    )


def read(connection: Connection) -> dict[str, int]:
    """Return every counter of jobs."""
    found: dict[str, int] = {}
    rows = connection.execute(select(totals).where(totals.c.name.contains(_MARK)))
    for row in rows:
        name = row.name.rpartition(_MARK)[0]
        found[name] = found.get(name, 0) + row.value
    return found
