"""Steps from one shape of the ledger's database to the next, taken by alembic."""

from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

from services.core.errors import LedgerUnavailableError

# Every revision, the oldest first. Here and not read from the files, so that opening a database
# that is as it should be does not import alembic (a third of a second).
REVISIONS = ("0001", "0002", "0003", "0004")
FOLDER = Path(__file__).parent
_TABLE = "alembic_version"


def up_to_date(connection: Connection) -> bool:
    """Say whether the database has the shape that this code works with.

    Raises:
        LedgerUnavailableError: it was made by a newer Slipway.
    """
    if not inspect(connection).has_table(_TABLE):
        return False
    found = connection.scalar(select(column("version_num")).select_from(table(_TABLE)))
    if found is not None and found not in REVISIONS:
        raise LedgerUnavailableError(
            f"The ledger's database was made by a newer Slipway (its revision is {found}).",
            where="LEDGER_DATABASE_URL",
            expected=f"revision {REVISIONS[-1]} or older, or the Slipway that made it",
        )
    return bool(found == REVISIONS[-1])


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest shape, in the transaction of the connection."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
