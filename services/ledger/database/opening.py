"""Opening the ledger's database: SQLite in DATA_DIR, or PostgreSQL by LEDGER_DATABASE_URL.

Several processes may open it at once; the first one brings its tables to the present shape. Every
wait is bounded, and whatever goes wrong is a `LedgerUnavailableError`.
"""

import errno
import fcntl
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from services.core.errors import ConfigurationError, LedgerUnavailableError
from services.core.settings import Settings
from services.ledger.database import migrations
from services.ledger.places import Places

# Seconds. A lookup or a feedback waits no longer than this for others, or for the server.
_BUSY = 5
_CONNECT = 5
_STATEMENT = 15
_LOOK = 0.002
_MIGRATING = 60
_RETRY_AFTER = 5.0
# Bytes that SQLite's log keeps after it grew in a long transaction.
_WAL_BYTES = 64 * 1024 * 1024
_MIGRATION_LOCK = 0x5C1D_0000
_WHERE = "LEDGER_DATABASE_URL"
_EXPECTED = "postgresql://user:password@host:5432/database, or nothing for SQLite"
_MODE = "ledger_mode"
_FULL = "has no room: the disk is full"
_READING, _RELAXED, _DURABLE = "reading", "relaxed", "durable"


class Database:
    """A pool of connections to the ledger's database. Threads may share it.

    Attributes:
        engine: SQLAlchemy's.
        is_sqlite: else it is PostgreSQL.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        options = {} if self.is_sqlite else {"postgresql_readonly": True}
        self._reading = engine.execution_options(**{_MODE: _READING}, **options)
        self._relaxed = engine.execution_options(**{_MODE: _RELAXED})
        self._durable = engine.execution_options(**{_MODE: _DURABLE})

    @contextmanager
    def begin(self, *, durable: bool = True) -> Iterator[Connection]:
        """Write (and read) in one transaction, committed at the end of the block.

        One process at a time does so in SQLite: keep it short.

        Args:
            durable: once committed it outlives a power failure (and a crash of PostgreSQL), and so
                does all that was committed before. False, which is quicker, for what can be done
                again from the journal; what deletes a segment comes after a durable one.

        Raises:
            LedgerUnavailableError: the database is away, busy, full or damaged.
        """
        with _errors(), (self._durable if durable else self._relaxed).begin() as connection:
            if not (durable or self.is_sqlite):
                connection.execute(text("SET LOCAL synchronous_commit = off"))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read in one transaction, beside whoever writes; writing fails.

        Raises:
            LedgerUnavailableError: the database is away, busy or damaged.
        """
        with _errors(), self._reading.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close the connections that nobody uses; the others when they are given back."""
        self.engine.dispose()


def open_database(settings: Settings) -> Database:
    """Open the ledger's database, and bring its tables to the present shape if they are not.

    Raises:
        ConfigurationError: LEDGER_DATABASE_URL is none of PostgreSQL.
        LedgerUnavailableError: it is away, full, damaged, or made by a newer Slipway.
    """
    url = settings.ledger_database_url
    if url is not None:
        database = Database(_postgresql(url))
        path = None
    else:
        path = Places(settings.data_dir).database
        database = Database(_sqlite(path))
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        if not _ready(database):
            _prepare(database, path)
    except OSError as error:
        database.close()
        raise _unavailable(_reason(error)) from error
    except BaseException:
        database.close()
        raise
    return database


def _sqlite(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _BUSY},
        hide_parameters=True,
        pool_timeout=_BUSY,
    )

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: Any) -> None:
        # The driver would begin transactions only before a change, and never at once.
        connection.isolation_level = None
        connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        mode = connection.get_execution_options().get(_MODE)
        driver.execute(f"PRAGMA query_only={'ON' if mode == _READING else 'OFF'}")
        if mode == _READING:
            driver.execute("BEGIN")
            return
        driver.execute(f"PRAGMA synchronous={'NORMAL' if mode == _RELAXED else 'FULL'}")
        _begin_writing(driver)

    return engine


def _begin_writing(driver: sqlite3.Connection) -> None:
    """Become the one that writes, at once: who reads first and writes later fails if another did.

    SQLite itself would look every 0.1 s, and never find a gap between somebody's many writes.
    """
    until = time.monotonic() + _BUSY
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(_LOOK)
    finally:
        driver.execute(f"PRAGMA busy_timeout={_BUSY * 1000}")


def _postgresql(address: str) -> Engine:
    """Return an engine for an address; what its query names (`?options=`) is taken as it is."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise _misconfigured() from None
    if url.drivername not in {"postgres", "postgresql", "postgresql+psycopg"}:
        raise _misconfigured(url.drivername)
    limits: dict[str, Any] = {
        "connect_timeout": _CONNECT,
        "application_name": "slipway",
        "options": (
            f"-c statement_timeout={_STATEMENT}s -c lock_timeout={_BUSY}s"
            f" -c idle_in_transaction_session_timeout={_MIGRATING}s"
        ),
        # A server that vanished is noticed after half a minute.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 25_000,
    }
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={name: value for name, value in limits.items() if name not in url.query},
        hide_parameters=True,
        pool_pre_ping=True,
        pool_timeout=_BUSY,
        pool_recycle=3600,
    )


def _ready(database: Database) -> bool:
    with database.reading() as connection:
        if database.is_sqlite:
            # Not so in a copy made by VACUUM INTO, for one.
            journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
            if journal != "wal":
                return False
        return migrations.up_to_date(connection)


def _prepare(database: Database, path: Path | None) -> None:
    """Bring the tables to the present shape; one process does it, the others wait for it."""
    if path is not None:
        with _locked(path.with_suffix(".lock")):
            with _errors(), closing(database.engine.raw_connection()) as raw:
                driver: Any = raw.driver_connection
                driver.execute("PRAGMA query_only=OFF")
                # In this order: the first has no effect after the second.
                driver.execute("PRAGMA auto_vacuum=INCREMENTAL")
                driver.execute("PRAGMA journal_mode=WAL")
            with database.begin() as connection:
                if not migrations.up_to_date(connection):
                    migrations.upgrade(connection)
        return
    with database.begin() as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = '{_MIGRATING}s'"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        if not migrations.up_to_date(connection):
            migrations.upgrade(connection)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file's lock for the block."""
    until = time.monotonic() + _MIGRATING
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise _unavailable("is being made by another process for a minute") from None
                time.sleep(0.02)
        yield


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeoutError, sqlite3.Error) as error:
        raise _unavailable(_reason(error)) from error


def _reason(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    # The lowest byte tells the kind; those above tell more.
    kind = None if code is None else code & 0xFF
    if isinstance(cause, OSError):
        full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
        return _FULL if full else "cannot be opened or written"
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return "is damaged: move its file away, and it is made anew"
    if kind == sqlite3.SQLITE_FULL or getattr(cause, "sqlstate", None) == "53100":
        return _FULL
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "is busy"
    if kind in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return "cannot be opened or written"
    return "does not answer as it should"


def _unavailable(reason: str) -> LedgerUnavailableError:
    return LedgerUnavailableError(
        f"The ledger's database {reason}.", where=_WHERE, retry_after=_RETRY_AFTER
    )


def _misconfigured(scheme: str | None = None) -> ConfigurationError:
    return ConfigurationError(
        "LEDGER_DATABASE_URL is not accepted.",
        where=_WHERE,
        expected=_EXPECTED,
        received=None if scheme is None else f"an address that begins with {scheme[:40]}://",
    )
