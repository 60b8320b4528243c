"""Segments into MLflow: every prediction exactly once, whatever dies in between."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from services.core.errors import RegistryUnavailableError
from services.core.settings import Settings
from services.ledger.journal import Journal
from services.ledger.reading import Segment, segments
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.parquet import Parquet, resend
from services.ledger.shipping.parts import Parts, write_parts
from tests.conftest import MakeSettings
from tests.ledger.journals import encoded, record
from tests.ledger.shipping.picky import PickyProxy
from tests.ledger.shipping.storing import (
    NOON,
    TODAY,
    Ledger,
    child,
    exhaust,
    ids_of,
    opened,
    runs_of,
    tables_of,
)
from tests.support.mlflow_server import MlflowServer, free_port

_MODELS = ("credit", "it's odd %")
# One process that stores everything, and is killed at one of its steps: `at` counts them.
_SCRIPT = """
import os, signal, sys
from services.ledger.database import index
from services.ledger.database.opening import open_database
from services.ledger.places import Places
from services.ledger.shipping import parquet

left = [int({at})]

def step():
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def around(module, name):
    real = getattr(module, name)
    def wrapped(*args, **kwargs):
        step()
        try:
            return real(*args, **kwargs)
        finally:
            step()
    setattr(module, name, wrapped)

around(parquet, "write_parts")
around(parquet, "send")
around(parquet, "put_down")
around(index, "set_stored")
around(parquet, "_remove")
places = Places(settings.data_dir)
stage = parquet.Parquet(settings, open_database(settings), places)
while stage.step():
    pass
print(left[0])
"""


def records(count: int, **values: Any) -> list[dict[str, Any]]:
    """Return predictions of two models on two days."""
    return [
        record(model=_MODELS[n % 2], time=(NOON, TODAY)[n // 2 % 2] + n, **values)
        for n in range(count)
    ]


def ids(some: list[dict[str, Any]]) -> list[str]:
    return sorted(one["id"] for one in some)


def settings_for(make_settings: MakeSettings, uri: str) -> Settings:
    return make_settings(mlflow_tracking_uri=uri, ledger_experiment=f"predictions-{uuid4().hex}")


@pytest.fixture
def ledger(make_settings: MakeSettings, mlflow_server: MlflowServer) -> Iterator[Ledger]:
    """A ledger whose experiment nobody else uses."""
    with opened(settings_for(make_settings, mlflow_server.uri)) as found:
        yield found


@pytest.fixture
def quiet(make_settings: MakeSettings) -> Iterator[Ledger]:
    """A ledger without any MLflow."""
    with opened(make_settings()) as found:
        yield found


def test_without_mlflow_a_segment_counts_as_stored(quiet: Ledger) -> None:
    quiet.write(records(3))
    exhaust(Parquet(*quiet.stage))
    assert quiet.stored() == [True]
    assert quiet.totals().get("rows_stored", 0) == 0


def test_what_is_not_sealed_or_not_indexed_waits(quiet: Ledger) -> None:
    journal = Journal(quiet.settings)
    journal.append(encoded(records(1))[0])
    stage = Parquet(*quiet.stage)
    assert not stage.step()
    journal.close()
    assert not stage.step()
    (segment,) = segments(quiet.places.journal)
    quiet.index(segment)
    assert stage.step()
    assert not stage.step()
    assert quiet.stored() == [True]


def test_mlflow_is_away(make_settings: MakeSettings) -> None:
    settings = settings_for(make_settings, f"http://127.0.0.1:{free_port()}")
    with opened(settings) as ledger:
        ledger.write(records(3))
        stage = Parquet(*ledger.stage)
        with pytest.raises(RegistryUnavailableError):
            stage.step()
        assert ledger.stored() == [False]
        assert not (ledger.places.root / "parts").exists()


def test_an_odd_segment_lets_the_others_pass(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is that nobody thought of."""
    settings = settings_for(make_settings, f"http://127.0.0.1:{free_port()}")
    with opened(settings) as ledger:
        (first,), _, _ = (ledger.write(records(2)) for _ in range(3))

        def odd(segment: Segment, folder: Path) -> Parts:
            if segment.writer == first.writer:
                raise RuntimeError("nobody thought of this")
            return write_parts(segment, folder)

        monkeypatch.setattr("services.ledger.shipping.parquet.write_parts", odd)
        stage = Parquet(*ledger.stage)
        stage._send = lambda part: None  # type: ignore[method-assign]
        for _ in range(2):
            with pytest.raises(RuntimeError):
                stage.step()
        assert sorted(ledger.stored()) == [False, True, True]


def test_what_a_killed_one_left_is_removed(quiet: Ledger) -> None:
    left = quiet.places.root / "parts" / "0" / "x.parquet"
    left.parent.mkdir(parents=True)
    left.touch()
    Parquet(*quiet.stage)
    assert not left.exists()


@pytest.mark.slow
def test_every_prediction_lands_once_on_its_run(ledger: Ledger, tmp_path: Path) -> None:
    made = [records(40), records(20), records(1)]
    names = [ledger.write(some)[0].writer for some in made]
    stage = Parquet(*ledger.stage)
    exhaust(stage)
    tables = tables_of(ledger.settings, tmp_path / "back")
    assert ids_of(tables) == ids([one for some in made for one in some])
    assert set(tables) == {
        (model, "1", day) for model in _MODELS for day in ("2026-11-20", "2026-11-21")
    }
    for (model, _, day), table in tables.items():
        assert set(table["model"]) == {model}
        assert set(table["time"].dt.strftime("%Y-%m-%d")) == {day}
    listed = Destination(ledger.settings).client().list_artifacts(
        runs_of(ledger.settings)["credit", "1", "2026-11-20"].info.run_id, "predictions"
    )  # fmt: skip
    assert {file.path for file in listed} == {
        f"predictions/{name}-00000001.parquet" for name in names
    }
    assert stage.status() == {"rows_stored": 61, "parts_stored": 9, "parquet_refused": 0}
    assert all(ledger.stored())
    assert not stage.step()


@pytest.mark.slow
def test_killed_at_every_step_each_is_there_once(ledger: Ledger, tmp_path: Path) -> None:
    made = records(30) + records(9, status="failed")
    ledger.write(made[:20])
    ledger.write(made[20:])
    at, kills = 1, 0
    while True:
        process = child(ledger.settings, _SCRIPT.format(at=at))
        out, error = process.communicate(timeout=120)
        if process.returncode == 0:
            break
        assert process.returncode == -9, error
        # Each time it gets a bit further, and every other time it begins at the beginning.
        at, kills = at + 3, kills + 1
        assert kills < 30
    assert kills >= 4, out
    assert ids_of(tables_of(ledger.settings, tmp_path / "back")) == ids(made)
    assert all(ledger.stored())
    assert ledger.totals()["rows_stored"] == len(made)


@pytest.mark.slow
def test_the_server_dies_in_the_middle(make_settings: MakeSettings, tmp_path: Path) -> None:
    server = MlflowServer(tmp_path / "mlflow")
    try:
        with opened(settings_for(make_settings, server.uri)) as ledger:
            made = [records(8) for _ in range(6)]
            for some in made:
                ledger.write(some)
            stage = Parquet(*ledger.stage)
            real, sent = stage._send, 0

            def kill_after_three(part: Any) -> str | None:
                nonlocal sent
                sent += 1
                if sent in (3, 9):
                    server.kill()
                return real(part)

            stage._send = kill_after_three  # type: ignore[method-assign]
            for _ in range(2):
                with pytest.raises(RegistryUnavailableError):
                    exhaust(stage)
                with pytest.raises(RegistryUnavailableError):
                    stage.step()
                server.start()
            exhaust(stage)
            assert ids_of(tables_of(ledger.settings, tmp_path / "back")) == sorted(
                name for some in made for name in ids(some)
            )
            assert ledger.totals()["rows_stored"] == 48
    finally:
        server.stop()


@pytest.mark.slow
def test_a_part_that_is_refused_holds_up_no_other(
    make_settings: MakeSettings, mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    """A proxy before MLflow takes small files only, as nginx does."""
    with (
        PickyProxy(mlflow_server.uri, most_bytes=20_000) as proxy,
        opened(settings_for(make_settings, proxy.uri)) as ledger,
    ):
        small = [record(time=NOON, model="small") for _ in range(3)]
        large = [record(time=NOON, model="large", input=uuid4().hex * 99) for _ in range(500)]
        unfit = record(time=NOON, model="small", phases={"queue": "long"})
        ledger.write([*small, *large, unfit])
        later = [record(time=NOON, model="large")]
        ledger.write(later)
        exhaust(Parquet(*ledger.stage))
        assert ids_of(tables_of(ledger.settings, tmp_path / "one")) == ids(small + later)
        totals = ledger.totals()
        assert (totals["rows_stored"], totals["parquet_refused"]) == (4, 501)
        letters = [
            orjson.loads(line)
            for file in ledger.places.dead.glob("parquet-*.jsonl")
            for line in file.read_bytes().splitlines()
        ]
        assert ids([letter["record"] for letter in letters]) == ids([*large, unfit])
        assert {letter["sink"] for letter in letters} == {"parquet"}
        assert any("413" in letter["error"] for letter in letters)
        # Its limit was raised, and they are sent again; twice, to be sure.
        proxy.most_bytes = 1 << 30
        payloads = encoded([letter["record"] for letter in letters])
        for _ in range(2):
            assert resend(*ledger.stage, payloads) == 500
        assert ids_of(tables_of(ledger.settings, tmp_path / "two")) == ids(small + later + large)
        assert not list(ledger.places.root.glob(".resent-*"))


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 404, 408, 429, 500, 503])
def test_what_will_pass_is_waited_for(
    status: int, make_settings: MakeSettings, mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    with (
        PickyProxy(mlflow_server.uri, most_bytes=0, status=status) as proxy,
        opened(settings_for(make_settings, proxy.uri)) as ledger,
    ):
        made = records(4)
        ledger.write(made)
        stage = Parquet(*ledger.stage)
        for _ in range(2):
            with pytest.raises(RegistryUnavailableError):
                stage.step()
        assert ledger.stored() == [False]
        assert not ledger.places.dead.exists()
        proxy.most_bytes = 1 << 30
        exhaust(stage)
        assert ids_of(tables_of(ledger.settings, tmp_path / "back")) == ids(made)
