"""The steps lead to what `tables.py` describes, and the list of them is complete."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from services.core.settings import Settings
from services.ledger.database.job_tables import jobs
from services.ledger.database.migrations import FOLDER, REVISIONS, upgrade
from services.ledger.database.opening import Database, open_database
from services.ledger.places import Places
from tests.support.patience import PATIENCE


def test_the_tables_are_those_of_the_code(database: Database) -> None:
    with database.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, jobs.metadata) == []


def test_indices_hold_the_rows_that_the_code_says(database: Database) -> None:
    """Alembic does not compare the conditions of indices."""
    system = "sqlite_master" if database.is_sqlite else "pg_indexes"
    column = "sql" if database.is_sqlite else "indexdef"
    with database.reading() as connection:
        found = connection.scalars(
            text(f"SELECT {column} FROM {system} WHERE {column} LIKE '%ix_%'")
        )
        texts = [item.replace("::text", "") for item in found if "WHERE" in item]
    wanted = {
        str(index.name): str(index.dialect_options["sqlite"]["where"])
        for table in jobs.metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["sqlite"]["where"] is not None
    }
    assert len(texts) == len(wanted) == 13
    for name, condition in wanted.items():
        made = next(item for item in texts if f" {name} " in item)
        plain = made.partition("WHERE")[2].translate(str.maketrans("", "", '()"'))
        assert plain.strip().replace("<>", "!=") == condition


def test_every_step_is_listed_in_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    steps = list(ScriptDirectory.from_config(config).walk_revisions())
    assert tuple(step.revision for step in reversed(steps)) == REVISIONS


def test_a_second_upgrade_does_nothing(database: Database) -> None:
    with database.begin() as connection:
        upgrade(connection)
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == REVISIONS[-1]


def test_a_step_that_fails_leaves_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no index today")

    with monkeypatch.context() as patch:
        # The tables before the first index are made by then.
        patch.setattr("alembic.op.create_index", broken)
        with pytest.raises(RuntimeError, match="no index today"):
            open_database(settings)
        url = settings.ledger_database_url or f"sqlite:///{Places(settings.data_dir).database}"
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        assert inspect(engine).get_table_names() == []
        engine.dispose()
    database = open_database(settings)
    with database.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM predictions")) == 0
    database.close()


def test_opening_again_needs_no_alembic(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from services.core.settings import load_settings;"
        "from services.ledger.database.opening import open_database;"
        "open_database(load_settings(data_dir=Path(sys.argv[1]))).close();"
        "print('alembic' in sys.modules)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        ).stdout.strip()
        for _ in range(2)
    ]
    assert said == ["True", "False"]
