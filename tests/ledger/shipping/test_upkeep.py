"""Retention: what goes, what stays, and what MLflow has of it afterwards."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.core import embedded
from services.core.errors import RegistryUnavailableError
from services.core.settings import Settings
from services.ledger import blobs
from services.ledger.database import runs
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.parquet import Parquet
from services.ledger.shipping.upkeep import Upkeep, apply
from tests.conftest import MakeSettings
from tests.ledger.journals import record
from tests.ledger.shipping.storing import Ledger, exhaust, opened, runs_of
from tests.support.mlflow_server import MlflowServer, free_port
from tests.support.patience import PATIENCE

_DAY = 86_400.0


@pytest.fixture
def ledger(make_settings: MakeSettings, mlflow_server: MlflowServer) -> Iterator[Ledger]:
    """A ledger whose experiment nobody else uses; parts stay 3 days, traces 2."""
    settings = make_settings(
        mlflow_tracking_uri=mlflow_server.uri,
        ledger_experiment=f"predictions-{uuid4().hex}",
        ledger_parquet_days=3,
        ledger_trace_days=2,
    )
    with opened(settings) as found:
        yield found


def day(ago: float) -> str:
    return (datetime.now(UTC) - timedelta(days=ago)).strftime("%Y-%m-%d")


def counts(ledger: Ledger, **options: Any) -> dict[str, int]:
    return {one.what: one.count for one in apply(*ledger.stage, **options)}


def backdate(mlflow_server: MlflowServer, run_id: str, ago: float) -> None:
    """Let a run have begun days ago: MLflow's client cannot say so afterwards."""
    start = int((time.time() - ago * _DAY) * 1000)
    with closing(
        sqlite3.connect(mlflow_server.folder / "mlflow.db", timeout=PATIENCE)
    ) as connection:
        connection.execute("UPDATE runs SET start_time=? WHERE run_uuid=?", (start, run_id))
        connection.commit()


@pytest.mark.slow
def test_old_runs_go_with_their_parts(ledger: Ledger, mlflow_server: MlflowServer) -> None:
    days = (0, 2, 3, 5, 9)
    ledger.write([record(time=time.time() - ago * _DAY, model="credit") for ago in days])
    exhaust(Parquet(*ledger.stage))
    before = runs_of(ledger.settings)
    for ago in days:
        backdate(mlflow_server, before["credit", "1", day(ago)].info.run_id, ago)
    files = mlflow_server.folder / "artifacts" / before["credit", "1", day(0)].info.experiment_id
    assert len(list(files.rglob("*.parquet"))) == 5
    assert counts(ledger, dry_run=True)["serving runs"] == 2
    assert len(runs_of(ledger.settings)) == 5
    assert counts(ledger)["serving runs"] == 2
    assert {key[2] for key in runs_of(ledger.settings)} == {day(0), day(2), day(3)}
    assert len(list(files.rglob("*.parquet"))) == 3
    with ledger.database.reading() as connection:
        assert runs.serving_run(connection, "credit", "1", day(9)) is None
        assert runs.serving_run(connection, "credit", "1", day(2)) is not None
    assert counts(ledger)["serving runs"] == 0


@pytest.mark.slow
def test_files_that_cannot_be_deleted_are_named(
    ledger: Ledger, mlflow_server: MlflowServer
) -> None:
    destination = Destination(ledger.settings)
    client = destination.client()
    client.create_experiment(ledger.settings.ledger_experiment, artifact_location="odd://place")
    run_id = destination.run_for(ledger.database, "credit", "1", day(9))
    backdate(mlflow_server, run_id, 9)
    (done,) = (one for one in apply(*ledger.stage) if one.what == "serving runs")
    assert done.count == 1
    assert run_id in done.detail
    assert "mlflow gc" in done.detail
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"


@pytest.mark.slow
def test_runs_of_days_gone_by_are_finished(ledger: Ledger) -> None:
    destination = Destination(ledger.settings)
    for ago in (0, 1, 2):
        destination.run_for(ledger.database, "credit", "1", day(ago))
    client = destination.client()
    alien = client.create_run(destination.experiment_id())
    assert counts(ledger, dry_run=True)["finished runs"] in (1, 2)
    done = counts(ledger)["finished runs"]
    # Within ten minutes after midnight yesterday's is still open.
    assert done in (1, 2)
    found = runs_of_kind(ledger)
    assert found[day(0)].info.status == "RUNNING"
    ended = found[day(2)]
    assert ended.info.status == "FINISHED"
    assert ended.info.end_time >= ended.info.start_time
    assert client.get_run(alien.info.run_id).info.status == "RUNNING"
    # A late record still finds its run open to it.
    ledger.write([record(time=time.time() - 2 * _DAY, model="credit")])
    exhaust(Parquet(*ledger.stage))
    assert client.list_artifacts(ended.info.run_id, "predictions")


def runs_of_kind(ledger: Ledger) -> dict[str, Any]:
    """Return the serving runs by day; other runs may be in the experiment."""
    destination = Destination(ledger.settings)
    found = destination.client().search_runs(
        [destination.experiment_id()], "tags.`slipway.kind` = 'serving'"
    )
    return {run.data.tags["slipway.day"]: run for run in found}


@pytest.mark.slow
def test_old_traces_go(ledger: Ledger) -> None:
    import mlflow
    from mlflow.entities import TraceInfo, TraceLocation, TraceState

    destination = Destination(ledger.settings)
    experiment = destination.experiment_id()
    utilities: Any = mlflow.tracking._tracking_service.utils
    store = utilities._get_store(ledger.settings.tracking_uri)
    for number, ago in enumerate((0.0, 1.0, 2.5, 3.0, 40.0)):
        store.start_trace(
            TraceInfo(
                trace_id=f"tr-{uuid4().hex}",
                trace_location=TraceLocation.from_experiment_id(experiment),
                request_time=int((time.time() - ago * _DAY) * 1000) - number,
                state=TraceState.OK,
            )
        )
    assert counts(ledger, dry_run=True)["traces"] == 3
    assert counts(ledger)["traces"] == 3
    left = destination.client().search_traces(locations=[experiment], include_spans=False)
    assert len(left) == 2
    kept = ledger.settings.model_copy(update={"ledger_trace_days": 0.0})
    (traces,) = (one for one in apply(kept, *ledger.stage[1:]) if one.what == "traces")
    assert (traces.count, traces.detail) == (0, "kept for good")


def test_without_mlflow_the_rest_is_done(make_settings: MakeSettings) -> None:
    settings = make_settings(ledger_keep_days=2, ledger_keep_rows=3, ledger_blob_days=1)
    with opened(settings) as ledger:
        now = time.time()
        ledger.write([record(time=now - n * 3600 * 20) for n in range(5)])
        name = blobs.picture_name(b"\xff\xd8\xff")
        blobs.store(ledger.places, name, b"\xff\xd8\xff")
        os.utime(blobs.path(ledger.places, name), (now - 2 * _DAY,) * 2)
        for _ in range(2):
            would = counts(ledger, dry_run=True)
            assert (would["blobs"], would["rows"], would["traces"]) == (1, 2, 0)
        done = counts(ledger)
        assert (done["blobs"], done["rows"], done["serving runs"]) == (1, 2, 0)
        assert not blobs.path(ledger.places, name).exists()
        again = counts(ledger)
        assert (again["blobs"], again["rows"]) == (0, 0)
        assert statistics(ledger.places.database)


def test_more_rows_than_are_kept(make_settings: MakeSettings) -> None:
    with opened(make_settings(ledger_keep_days=0, ledger_keep_rows=3)) as ledger:
        ledger.write([record(time=time.time() - n) for n in range(5)])
        assert counts(ledger, dry_run=True)["rows"] == 2
        assert counts(ledger)["rows"] == 2


def statistics(path: Any) -> list[Any]:
    """Return what SQLite knows of its indexes."""
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name='sqlite_stat1'"
        ).fetchone():
            return []
        return connection.execute("SELECT * FROM sqlite_stat1").fetchall()


def embedded_database(settings: Settings) -> Any:
    """Make a file like the embedded MLflow's."""
    path = embedded.folder(settings.data_dir) / "mlflow.db"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE spans (a INTEGER)")
        connection.execute("CREATE INDEX ix ON spans (a)")
        connection.executemany("INSERT INTO spans VALUES (?)", [(n,) for n in range(100)])
        connection.commit()
    return path


def test_statistics_of_the_embedded_mlflow(make_settings: MakeSettings) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    settings = make_settings(mlflow_tracking_uri=address)
    path = embedded_database(settings)
    with opened(settings) as ledger:
        upkeep = Upkeep(*ledger.stage, first_seconds=0)
        with pytest.raises(RegistryUnavailableError):
            exhaust(upkeep)
        tasks = upkeep._tasks
        assert tasks.mlflow_statistics()[0].count == 0
        assert statistics(path) == []
        # The address is that of the server which looks after this file.
        embedded.announce(settings.data_dir, address)
        assert tasks.mlflow_statistics()[0].count == 1
        assert statistics(path)
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("services.ledger.shipping.upkeep._BUSY_SECONDS", 0.1)
                with pytest.raises(RegistryUnavailableError, match="not free"):
                    tasks.mlflow_statistics()


def test_mlflow_away_stops_nothing_else(make_settings: MakeSettings) -> None:
    settings = make_settings(
        mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}", ledger_keep_rows=3
    )
    with opened(settings) as ledger:
        ledger.write([record(time=time.time() - n) for n in range(5)])
        upkeep = Upkeep(*ledger.stage, first_seconds=0)
        failures = 0
        for _ in range(12):
            try:
                assert upkeep.step()
            except RegistryUnavailableError:
                failures += 1
        assert failures >= 6
        assert upkeep.status()["upkeep"]["rows"] == 2
        assert upkeep.status()["upkeep"]["ledger statistics"] == 1


def test_once_an_hour(make_settings: MakeSettings) -> None:
    with opened(make_settings()) as ledger:
        early = Upkeep(*ledger.stage)
        assert not early.step()
        assert early.status() == {"upkeep": {}}
        upkeep = Upkeep(*ledger.stage, first_seconds=0)
        exhaust(upkeep)
        assert upkeep.status()["upkeep"]["ledger statistics"] == 1
        assert not upkeep.step()
        assert upkeep.status()["upkeep"]["ledger statistics"] == 1
