"""What SQLite and PostgreSQL say differently, and what neither takes: used by the other modules."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection as Connection
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

Insert = postgresql.Insert | sqlite.Insert
Item = TypeVar("Item")

# Of the values in one statement. Each database knows thousands; this many are quick already.
_AT_ONCE = 500


def is_sqlite(connection: Connection) -> bool:
    """Say whether the connection leads to SQLite; else it is PostgreSQL."""
    return connection.dialect.name == "sqlite"


def insert(connection: Connection, table: Table) -> Insert:
    """Return an INSERT that knows `on_conflict_do_...`, which both have, in different modules."""
    return sqlite.insert(table) if is_sqlite(connection) else postgresql.insert(table)


def clean(text: str | None, length: int) -> str | None:
    """Return a text that both databases store: at most `length` characters, none that they refuse.

    PostgreSQL refuses a text that is too long, or has a NUL; one odd record would hold up all.
    """
    if text is None or (len(text) <= length and text.isascii() and "\0" not in text):
        return text
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return whole.replace("\0", "\ufffd")[:length]


def pieces(items: Iterable[Item], size: int = _AT_ONCE) -> Iterator[Sequence[Item]]:
    """Yield the items in lists of `size` at most."""
    rest = iter(items)
    while piece := list(islice(rest, size)):
        yield piece
