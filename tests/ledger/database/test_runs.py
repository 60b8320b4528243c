"""One serving run per model, version and day, whoever remembered it first."""

from services.ledger.database import runs
from services.ledger.database.opening import Database

DAY = "2026-11-21"


def test_the_first_run_is_kept(database: Database) -> None:
    with database.begin() as connection:
        assert runs.serving_run(connection, "credit", "1", DAY) is None
        assert runs.remember_run(connection, "credit", "1", DAY, "7", "abc") == ("7", "abc")
        assert runs.remember_run(connection, "credit", "1", DAY, "7", "def") == ("7", "abc")
        assert runs.remember_run(connection, "credit", "2", DAY, "7", "ghi") == ("7", "ghi")
    with database.reading() as connection:
        assert runs.serving_run(connection, "credit", "1", DAY) == ("7", "abc")
        assert runs.serving_run(connection, "credit", "1", "2026-11-22") is None


def test_a_run_is_forgotten_alone(database: Database) -> None:
    with database.begin() as connection:
        runs.remember_run(connection, "credit", "1", DAY, "7", "abc")
        runs.remember_run(connection, "credit", "2", DAY, "7", "def")
        runs.forget_run(connection, "credit", "1", DAY)
        assert runs.serving_run(connection, "credit", "1", DAY) is None
        assert runs.serving_run(connection, "credit", "2", DAY) == ("7", "def")
        assert runs.remember_run(connection, "credit", "1", DAY, "7", "new") == ("7", "new")
