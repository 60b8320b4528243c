"""The experiment and its serving runs, on a real MLflow server."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from services.core import embedded
from services.core.errors import RegistryUnavailableError
from services.core.settings import Settings
from services.ledger.database import runs
from services.ledger.database.opening import Database, open_database
from services.ledger.shipping.destination import Destination
from tests.conftest import MakeSettings
from tests.ledger.shipping.storing import Ledger, opened, runs_of
from tests.support.mlflow_server import MlflowServer, free_port
from tests.support.patience import PATIENCE

DAY = "2026-11-21"
ODD = "it's \"odd\" 100 % `x` \\ ünï 漢字 🙂 ' and tags.a = 'b"


@pytest.fixture
def ledger(make_settings: MakeSettings, mlflow_server: MlflowServer) -> Iterator[Ledger]:
    """A ledger whose experiment nobody else uses."""
    settings = make_settings(
        mlflow_tracking_uri=mlflow_server.uri, ledger_experiment=f"predictions-{uuid4().hex}"
    )
    with opened(settings) as found:
        yield found


def fresh(ledger: Ledger) -> Destination:
    """What another process would have: no memory."""
    return Destination(ledger.settings)


def run_id(ledger: Ledger, model: str = "credit", day: str = DAY) -> str:
    return fresh(ledger).run_for(ledger.database, model, "3", day)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["credit", ODD, "m" * 250])
def test_a_run_is_made_once_and_says_what_it_is(ledger: Ledger, model: str) -> None:
    first = run_id(ledger, model)
    assert run_id(ledger, model) == first
    (key,), (run,) = zip(*runs_of(ledger.settings).items(), strict=True)
    assert key == (model, "3", DAY)
    assert run.info.run_id == first
    assert run.info.status == "RUNNING"
    assert run.data.params == {"model": model, "version": "3"}
    tags = run.data.tags
    assert (tags["slipway.kind"], tags["slipway.model_uri"]) == ("serving", f"models:/{model}/3")
    assert len(tags["mlflow.note.content"].splitlines()) == 2
    assert run.info.run_name == f"{model[:236]} v3 {DAY}"
    with ledger.database.reading() as connection:
        remembered = runs.serving_run(connection, model, "3", DAY)
    assert remembered == (run.info.experiment_id, first)


@pytest.mark.slow
def test_names_that_look_alike_have_runs_of_their_own(ledger: Ledger) -> None:
    destination = fresh(ledger)
    keys = [("a", "1", DAY), ("a%", "1", DAY), ("A", "1", DAY), ("a", "11", DAY), ("a'", "1", DAY)]
    found = {destination.run_for(ledger.database, *key) for key in keys}
    assert len(found) == len(keys)
    assert set(runs_of(ledger.settings)) == set(keys)


@pytest.mark.slow
def test_the_database_lost_the_run_is_found_by_its_tags(ledger: Ledger) -> None:
    first = run_id(ledger)
    with ledger.database.begin() as connection:
        runs.forget_run(connection, "credit", "3", DAY)
    assert run_id(ledger) == first


@pytest.mark.slow
def test_many_at_once_agree_on_one_run(ledger: Ledger, tmp_path: Path) -> None:
    """Half of them share a database; the others, on other machines, have one each."""
    databases = [ledger.database] * 4
    for name in "abcd":
        settings = ledger.settings.model_copy(update={"data_dir": tmp_path / name})
        databases.append(open_database(settings))

    def ask(database: Database) -> str:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return fresh(ledger).run_for(database, "credit", "3", DAY)
            except RegistryUnavailableError:
                # Eight that write at once can be too much for MLflow's SQLite: it answers 500, and
                # a shipper comes again.
                assert time.monotonic() < until

    with ThreadPoolExecutor(len(databases)) as threads:
        found = list(threads.map(ask, databases))
    assert len(set(found[:4])) == 1
    # Those without a common database may differ if they asked in the same instant; each of them
    # then stays with its own.
    assert [ask(database) for database in databases] == found
    client = fresh(ledger).client()
    assert {client.get_run(name).info.lifecycle_stage for name in found} == {"active"}
    for database in databases[4:]:
        database.close()


@pytest.mark.slow
def test_a_deleted_run_is_taken_out_of_the_bin(ledger: Ledger) -> None:
    first = run_id(ledger)
    client = fresh(ledger).client()
    client.delete_run(first)
    assert run_id(ledger) == first
    assert client.get_run(first).info.lifecycle_stage == "active"
    # Also when the database does not know it.
    client.delete_run(first)
    with ledger.database.begin() as connection:
        runs.forget_run(connection, "credit", "3", DAY)
    assert run_id(ledger) == first


@pytest.mark.slow
def test_a_run_that_is_gone_is_made_anew(ledger: Ledger) -> None:
    destination = fresh(ledger)
    experiment = destination.experiment_id()
    with ledger.database.begin() as connection:
        runs.remember_run(connection, "credit", "3", DAY, experiment, "f" * 32)
    made = destination.run_for(ledger.database, "credit", "3", DAY)
    assert made != "f" * 32
    with ledger.database.reading() as connection:
        assert runs.serving_run(connection, "credit", "3", DAY) == (experiment, made)


@pytest.mark.slow
def test_a_deleted_experiment_is_restored(ledger: Ledger) -> None:
    first = run_id(ledger)
    destination = fresh(ledger)
    experiment = destination.experiment_id()
    destination.client().delete_experiment(experiment)
    assert fresh(ledger).present_experiment() is None
    # This one believes that it is there.
    second = destination.run_for(ledger.database, "other", "3", DAY)
    assert run_id(ledger) == first
    assert {run.info.run_id for run in runs_of(ledger.settings).values()} == {first, second}


@pytest.mark.slow
def test_a_maker_that_died_before_the_parameters(ledger: Ledger) -> None:
    destination = fresh(ledger)
    made = run_id(ledger)
    bare = destination.client().create_run(
        destination.experiment_id(), tags=destination.client().get_run(made).data.tags
    )
    with ledger.database.begin() as connection:
        runs.forget_run(connection, "credit", "3", DAY)
        runs.remember_run(
            connection, "credit", "3", DAY, destination.experiment_id(), bare.info.run_id
        )
    assert run_id(ledger) == bare.info.run_id
    assert destination.client().get_run(bare.info.run_id).data.params["model"] == "credit"


def test_nothing_answers(make_settings: MakeSettings) -> None:
    settings = make_settings(mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}")
    destination = Destination(settings)
    assert destination.exists
    assert destination.http
    with opened(settings) as found, pytest.raises(RegistryUnavailableError):
        destination.run_for(found.database, "credit", "3", DAY)


def test_no_mlflow_at_all(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings: Settings = make_settings()
    destination = Destination(settings)
    assert not destination.exists
    assert not destination.http
    assert destination.present_experiment() is None
    database = embedded.folder(tmp_path) / "mlflow.db"
    assert not database.exists()
    database.parent.mkdir(parents=True)
    database.touch()
    assert destination.exists


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {}),
        (
            {"USERNAME": "ann", "PASSWORD": "pässword"},
            {"Authorization": "Basic YW5uOnDDpHNzd29yZA=="},
        ),
        ({"TOKEN": "t0ken"}, {"Authorization": "Bearer t0ken"}),
        ({"USERNAME": "ann", "TOKEN": "t0ken"}, {"Authorization": "Bearer t0ken"}),
    ],
)
def test_headers(
    variables: dict[str, str],
    expected: dict[str, str],
    make_settings: MakeSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    assert Destination(make_settings()).headers() == expected
