"""What stores records, with the ledger's database on PostgreSQL, shared by two machines."""

from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest

from services.ledger.shipping.aggregates import Aggregates
from services.ledger.shipping.parquet import Parquet
from services.ledger.shipping.upkeep import apply
from tests.conftest import MakeSettings
from tests.ledger.journals import record
from tests.ledger.shipping.storing import (
    NOON,
    TODAY,
    Ledger,
    exhaust,
    ids_of,
    opened,
    runs_of,
    tables_of,
)
from tests.support.mlflow_server import MlflowServer
from tests.support.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


def ship(ledger: Ledger) -> None:
    for stage in (Parquet(*ledger.stage), Aggregates(*ledger.stage)):
        exhaust(stage)


@pytest.mark.slow
def test_two_machines_share_runs(
    make_settings: MakeSettings, mlflow_server: MlflowServer, postgres_url: str, tmp_path: Path
) -> None:
    settings = [
        make_settings(
            data_dir=tmp_path / name, mlflow_tracking_uri=mlflow_server.uri,
            ledger_experiment="two-machines", ledger_database_url=postgres_url,
        )
        for name in "ab"
    ]  # fmt: skip
    with opened(settings[0]) as one, opened(settings[1]) as other:
        made = []
        for ledger in (one, other):
            some = [record(time=(NOON, TODAY)[n % 2], model=f"m{n % 3}") for n in range(30)]
            ledger.write(some)
            made += [name["id"] for name in some]
        threads = [Thread(target=ship, args=(ledger,)) for ledger in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.stored() == [True, True]
        # One run for each model and day, with a part from each machine.
        assert len(runs_of(settings[0])) == 6
        assert ids_of(tables_of(settings[0], tmp_path / "back")) == sorted(made)
        totals = one.totals()
        assert (totals["rows_stored"], totals["parts_stored"]) == (60, 12)


def test_upkeep(make_settings: MakeSettings, postgres_url: str) -> None:
    settings = make_settings(ledger_database_url=postgres_url, ledger_keep_rows=4)
    with opened(settings) as ledger:
        ledger.write([record(time=TODAY + n, model=uuid4().hex) for n in range(10)])
        for dry_run in (True, False):
            found = {one.what: one for one in apply(*ledger.stage, dry_run=dry_run)}
            assert found["rows"].count == 6
            assert found["ledger statistics"].count == 0
        assert {one.what: one.count for one in apply(*ledger.stage)}["rows"] == 0
