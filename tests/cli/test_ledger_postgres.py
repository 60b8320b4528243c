"""`slipway ledger` on PostgreSQL: what other machines recorded, and a server that goes away."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.core.settings import load_settings
from services.ledger.database.opening import open_database
from services.ledger.journal import Journal
from services.ledger.places import Places
from services.ledger.shipping.indexing import Indexing
from tests.cli.conftest import Command
from tests.cli.test_ledger_processes import Start, start
from tests.ledger.journals import encoded, record
from tests.support.mlflow_server import free_port
from tests.support.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url", "start"]

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _database(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", postgres_url)


def elsewhere(folder: Path, made: list[dict[str, Any]]) -> None:
    """Record predictions on another machine, and take them into the common database."""
    settings = load_settings(data_dir=folder)
    journal = Journal(settings)
    for payload in encoded(made):
        journal.append(payload)
    database = open_database(settings)
    stage = Indexing(settings, database, Places(folder))
    while stage.step():
        pass
    database.close()
    journal.close()


def test_what_other_machines_recorded(slipway: Command, start: Start, tmp_path: Path) -> None:
    made = [record() for _ in range(5)]
    elsewhere(tmp_path / "other", made)
    assert [
        json.loads(line) for line in slipway("ledger", "tail", "--json").out.splitlines()
    ] == made
    assert slipway("ledger", "show", made[0]["id"]).code == 0
    assert slipway("ledger", "export", "-o", "all.jsonl").code == 0
    assert len(Path("all.jsonl").read_text().splitlines()) == 5
    status = slipway("ledger", "status")
    assert status.code == 0, status.err
    assert "PostgreSQL, up" in status.out
    assert slipway("ledger", "prune", "--dry-run").code == 0
    following = start("tail", "--follow", "--json", "-n", "1")
    assert json.loads(following.line()) == made[-1]
    later = [record() for _ in range(3)]
    elsewhere(tmp_path / "third", later)
    assert [json.loads(following.line()) for _ in later] == later


def test_the_server_is_away(slipway: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"postgresql://slipway:hush@127.0.0.1:{free_port()}/ledger"
    monkeypatch.setenv("LEDGER_DATABASE_URL", url)
    done = slipway("ledger", "status")
    assert done.code == 1
    assert "PostgreSQL, does not answer" in done.out
    for code, *arguments in (
        (0, "tail"), (1, "prune"), (1, "export", "-o", "all.csv"), (0, "resend"),
    ):  # fmt: skip
        done = slipway("ledger", *arguments)
        assert done.code == code, arguments
        assert "hush" not in done.out + done.err
        assert len(done.err.splitlines()) <= 2
