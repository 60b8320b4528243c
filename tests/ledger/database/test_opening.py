"""Opening: many at once, quick when nothing is to do, and clear about what is wrong."""

import multiprocessing
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from services.core.errors import ConfigurationError, LedgerUnavailableError
from services.core.settings import Settings
from services.ledger.database import index
from services.ledger.database.migrations import REVISIONS
from services.ledger.database.opening import Database, open_database
from services.ledger.places import Places
from tests.conftest import MakeSettings
from tests.ledger.database.made import fill, record
from tests.support.mlflow_server import free_port
from tests.support.patience import AT_ONCE, PATIENCE
from tests.support.postgres import PostgresServer

SECRET = "tops3cret"


def value(database: Database, statement: str) -> object:
    with database.reading() as connection:
        return connection.exec_driver_sql(statement).scalar()


def _open_and_count(settings: Settings) -> None:
    database = open_database(settings)
    with database.begin() as connection:
        index.bump(connection, "opened", 1)
    database.close()


@pytest.mark.slow
def test_several_processes_open_a_new_database_at_once(settings: Settings) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_open_and_count, args=(settings,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0] * 4
    database = open_database(settings)
    with database.reading() as connection:
        assert index.totals(connection) == {"opened": 4}
    assert value(database, "SELECT count(*) FROM alembic_version") == 1
    database.close()


def test_several_threads_open_a_new_database_at_once(settings: Settings) -> None:
    threads = [threading.Thread(target=_open_and_count, args=(settings,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    database = open_database(settings)
    with database.reading() as connection:
        assert index.totals(connection) == {"opened": 6}
    database.close()


def test_opening_again_is_quick(settings: Settings) -> None:
    open_database(settings).close()
    best = 9.0
    for _ in range(10):
        # Of this process: how long it waits for the others of the machine is not its doing.
        begun = time.process_time()
        database = open_database(settings)
        best = min(best, time.process_time() - begun)
        database.close()
    assert best < 0.05


def test_what_a_write_waits_for(database: Database) -> None:
    """Feedback outlives a power failure; what stands in the journal anyway need not."""
    ask = "PRAGMA synchronous" if database.is_sqlite else "SHOW synchronous_commit"
    durable, relaxed = (2, 1) if database.is_sqlite else ("on", "off")
    for _ in range(2):
        with database.begin() as connection:
            assert connection.exec_driver_sql(ask).scalar() == durable
        with database.begin(durable=False) as connection:
            assert connection.exec_driver_sql(ask).scalar() == relaxed


def test_sqlite_is_as_it_should_be(sqlite: Database) -> None:
    assert value(sqlite, "PRAGMA journal_mode") == "wal"
    assert value(sqlite, "PRAGMA auto_vacuum") == 2
    assert value(sqlite, "PRAGMA busy_timeout") == 5000


def test_threads_share_a_database(database: Database) -> None:
    def work() -> None:
        for _ in range(20):
            with database.begin(durable=False) as connection:
                index.bump(connection, "done", 1)
            with database.reading() as connection:
                assert index.totals(connection)["done"] > 0

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    with database.reading() as connection:
        assert index.totals(connection) == {"done": 160}


def test_a_copy_that_is_not_in_wal_mode_is_put_right(make_settings: MakeSettings) -> None:
    settings = make_settings()
    open_database(settings).close()
    path = Places(settings.data_dir).database
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    database = open_database(settings)
    assert value(database, "PRAGMA journal_mode") == "wal"
    database.close()


def test_a_database_of_a_newer_slipway_is_refused(settings: Settings) -> None:
    database = open_database(settings)
    with database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(LedgerUnavailableError, match=r"newer Slipway.*9999") as caught:
        open_database(settings)
    assert REVISIONS[-1] in (caught.value.expected or "")


@pytest.mark.parametrize("damage", ["head", "middle"])
def test_a_damaged_file_is_called_damaged(make_settings: MakeSettings, damage: str) -> None:
    settings = make_settings()
    database = open_database(settings)
    fill(database, [record() for _ in range(500)])
    database.close()
    path = Places(settings.data_dir).database
    whole = bytearray(path.read_bytes())
    if damage == "head":
        whole[:200] = b"x" * 200
    else:
        whole[4096:] = b"\xff" * (len(whole) - 4096)
    path.write_bytes(whole)
    with pytest.raises(LedgerUnavailableError, match="damaged"):
        value(open_database(settings), "SELECT count(*) FROM predictions")


def test_a_full_disk_is_called_full_and_passes(sqlite: Database) -> None:
    fill(sqlite, [record()])
    pages = value(sqlite, "PRAGMA page_count")

    def limit(pages: object) -> None:
        # The limit is of the connection, and the pool has just the one.
        with sqlite.begin() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    limit(pages)
    with pytest.raises(LedgerUnavailableError, match="full"):
        fill(sqlite, [record() for _ in range(500)])
    limit(1_000_000)
    assert fill(sqlite, [record() for _ in range(500)]) == 500
    assert value(sqlite, "SELECT count(*) FROM predictions") == 501


def test_a_folder_that_cannot_be_made(make_settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(LedgerUnavailableError, match="opened or written"):
        open_database(make_settings(data_dir=tmp_path / "file"))


@pytest.mark.slow
def test_a_writer_that_does_not_end_is_waited_for_five_seconds(sqlite: Database) -> None:
    with closing(sqlite3.connect(str(sqlite.engine.url.database))) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with pytest.raises(LedgerUnavailableError, match="busy"), sqlite.begin():
            pass
        assert 4 < time.monotonic() - begun < 5 + AT_ONCE
        # Who reads is not held up.
        assert value(sqlite, "SELECT count(*) FROM predictions") == 0
        other.rollback()
    fill(sqlite, [record()])


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://slipway:{SECRET}@localhost/ledger",
        f"postgresql+asyncpg://slipway:{SECRET}@localhost/ledger",
        f"sqlite://slipway:{SECRET}@localhost/ledger",
        f"slipway:{SECRET}@localhost",
        f"postgresql://slipway:{SECRET}@localhost:port/ledger",
        SECRET,
    ],
)
def test_a_wrong_address_is_named_without_its_password(
    make_settings: MakeSettings, url: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_database(make_settings(ledger_database_url=url))
    error = caught.value
    assert error.where == "LEDGER_DATABASE_URL"
    assert SECRET not in f"{error.message} {error.expected} {error.received} {error.__cause__}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_schemes_of_postgresql(make_settings: MakeSettings, postgres_url: str, scheme: str) -> None:
    url = postgres_url.replace("postgresql", scheme, 1)
    database = open_database(make_settings(ledger_database_url=url))
    assert not database.is_sqlite
    assert value(database, "SHOW statement_timeout") == "15s"
    assert value(database, "SHOW lock_timeout") == "5s"
    database.close()


def test_limits_in_the_address_win(make_settings: MakeSettings, postgres_url: str) -> None:
    url = f"{postgres_url}?options=-c%20statement_timeout%3D3s&connect_timeout=2"
    database = open_database(make_settings(ledger_database_url=url))
    assert value(database, "SHOW statement_timeout") == "3s"
    database.close()


def test_a_wrong_password_is_not_shown(make_settings: MakeSettings, postgres_url: str) -> None:
    url = make_url(postgres_url).set(password="guessed-wr0ng")
    address = url.render_as_string(hide_password=False)
    with pytest.raises(LedgerUnavailableError) as caught:
        open_database(make_settings(ledger_database_url=address))
    assert "wr0ng" not in f"{caught.value} {caught.value.__cause__}"


def test_nobody_listens(make_settings: MakeSettings) -> None:
    url = f"postgresql://slipway:{SECRET}@127.0.0.1:{free_port()}/ledger"
    begun = time.monotonic()
    with pytest.raises(LedgerUnavailableError):
        open_database(make_settings(ledger_database_url=url))
    assert time.monotonic() - begun < AT_ONCE


def test_a_server_that_comes_back_is_found_again(
    make_settings: MakeSettings, postgres_url: str, postgres_server: PostgresServer
) -> None:
    database = open_database(make_settings(ledger_database_url=postgres_url))
    fill(database, [record()])
    with database.begin() as connection:
        # This one is durable, and with it what was committed before.
        index.set_stored(connection, "writer", 1)
    postgres_server.kill()
    try:
        with pytest.raises(LedgerUnavailableError):
            fill(database, [record()], number=2)
    finally:
        postgres_server.start()
    assert fill(database, [record()], number=2) == 1
    assert value(database, "SELECT count(*) FROM predictions") == 2
    database.close()
