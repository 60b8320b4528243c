"""Predictions under load while all around them is killed: each is on record, once.

MLflow is away for the whole load, the gateway and the shipper are killed (SIGKILL) again and
again; when MLflow comes back it is killed too, in the middle of what it is given. The short form
takes about a minute. The whole of it, 100,000 predictions:

    SLIPWAY_CHAOS=full python -m pytest tests/chaos -m slow -s -k everybody

What this cannot show is a power cut: a killed process leaves what it wrote to the system, and the
system goes on. That what was confirmed by the disk survives one is a promise of the disk's.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.ledger.reading import segments
from tests.chaos.records import evidence
from tests.chaos.records.load import Load, Outcomes
from tests.chaos.records.processes import Mlflow
from tests.chaos.records.stand import Stand, register, stand, wait_for
from tests.support.patience import PATIENCE
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Size:
    """How much of it.

    Attributes:
        predictions: that are answered 200.
        gateway_kills: during the load.
        shipper_kills: during the load, and while it catches up.
        mlflow_kills: while the shipper catches up.
        trace_lag: LEDGER_TRACE_LAG; such that some of the traces are thinned.
        seconds: within which the load ends, and the catching up.
    """

    predictions: int
    gateway_kills: int
    shipper_kills: tuple[int, int]
    mlflow_kills: int
    trace_lag: float
    seconds: float


SHORT = Size(5_000, 3, (3, 2), 1, 1, 180)
FULL = Size(100_000, 10, (12, 8), 3, 20, 1200)
_TRACE_RATE = 200
_WRONG_EVERY = 97


@pytest.fixture
def size() -> Size:
    return FULL if os.environ.get("SLIPWAY_CHAOS") == "full" else SHORT


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[Mlflow]:
    server = Mlflow(tmp_path / "mlflow")
    yield server
    server.stop()


def test_everybody_dies(tmp_path: Path, mlflow: Mlflow, size: Size) -> None:
    go(tmp_path, mlflow, size, {})


def test_everybody_dies_and_postgresql_with_them(
    tmp_path: Path, mlflow: Mlflow, size: Size, postgres_server: PostgresServer, postgres_url: str
) -> None:
    go(tmp_path, mlflow, size, {"LEDGER_DATABASE_URL": postgres_url}, postgres_server)


def go(
    folder: Path,
    mlflow: Mlflow,
    size: Size,
    settings: dict[str, Any],
    postgres: PostgresServer | None = None,
) -> None:
    """Kill everybody; see what is left."""
    register(mlflow, folder / "model")
    traces = {"LEDGER_TRACE_RATE": _TRACE_RATE, "LEDGER_TRACE_LAG": size.trace_lag}
    with stand(folder / "stand", mlflow, **traces, **settings) as around:
        mlflow.stop()
        began = time.monotonic()
        around.shipper.start()
        load = under_load(around, size, postgres)
        loaded = time.monotonic()
        check_before_mlflow(around, load.outcomes)
        mlflow.start()
        returned = time.monotonic()
        catching_up(around, size)
        around.wait_shipped(size.seconds)
        caught_up = time.monotonic()
        metrics = httpx.get(f"{around.url}/metrics", timeout=PATIENCE).text
        assert around.gateway.stop() == 0
        assert around.shipper.stop() == 0
        rows = check_after(around, load.outcomes, folder / "read")
        assert evidence.dropped(metrics) == 0
        report(around, load, rows, loaded - began, caught_up - returned)


def under_load(around: Stand, size: Size, postgres: PostgresServer | None) -> Load:
    """Ask until all is answered, killing the gateway, the shipper and PostgreSQL at times."""
    load = Load(around.port, size.predictions, wrong_every=_WRONG_EVERY)
    load.start()
    try:
        for at, victim in kills_under_load(size, with_postgres=postgres is not None):
            load.wait(at, size.seconds)
            if victim == "postgres":
                assert postgres is not None
                postgres.kill()
                postgres.start()
                continue
            program = around.gateway if victim == "gateway" else around.shipper
            if program is around.shipper:
                wait_for(around.shipper_at_work, size.seconds, around.shipper.tail)
            program.kill()
            program.start()
        load.wait(size.predictions, size.seconds)
    finally:
        load.stop()
    return load


def kills_under_load(size: Size, *, with_postgres: bool) -> list[tuple[int, str]]:
    """Return who is killed after how many answers."""
    everybody = [(size.gateway_kills, "gateway"), (size.shipper_kills[0], "shipper")]
    everybody += [(size.mlflow_kills, "postgres")] if with_postgres else []
    return sorted(
        (size.predictions * (2 * i + 1) // (2 * kills), victim)
        for kills, victim in everybody
        for i in range(kills)
    )


def catching_up(around: Stand, size: Size) -> None:
    """Kill the shipper and MLflow while the one gives the other the backlog."""
    victims = interleaved(size)
    waiting = len(segments(around.places.journal))
    for number, victim in enumerate(victims, 1):
        enough = waiting * number // (len(victims) + 1)

        def stored(enough: int = enough) -> bool:
            return len(evidence.parts(around.mlflow)) >= enough

        wait_for(stored, size.seconds, around.shipper.tail)
        if victim == "mlflow":
            around.mlflow.kill()
            around.mlflow.start()
        else:
            wait_for(around.shipper_at_work, size.seconds, around.shipper.tail)
            around.shipper.kill()
            around.shipper.start()


def interleaved(size: Size) -> list[str]:
    """Return who is killed while it catches up: MLflow in even distances among the shippers."""
    victims = ["shipper"] * size.shipper_kills[1]
    for i in range(size.mlflow_kills):
        victims.insert((i + 1) * len(victims) // (size.mlflow_kills + 1), "mlflow")
    return victims


def check_before_mlflow(around: Stand, outcomes: Outcomes) -> None:
    """See that all is in the journal and in the database, and nothing at MLflow."""

    journal = evidence.in_journal(around.places)
    assert set(outcomes.answered) <= set(journal)
    assert set(journal.values()) == {1}
    # Not by the status, which may be a second old.
    wait_for(
        lambda: evidence.in_database(around.database) >= set(journal), 120, around.shipper.tail
    )
    assert evidence.in_database(around.database) == set(journal)
    assert not evidence.parts(around.mlflow)
    # Everybody who was asked, but for those whose gateway died, got an answer that means something.
    assert set(outcomes.statuses()) <= {422, 503}, outcomes.statuses()
    assert not outcomes.twice


def check_after(around: Stand, outcomes: Outcomes, folder: Path) -> int:
    """See that MLflow has each once, and that the counts agree; return the number of rows."""
    table = evidence.in_parquet(around.mlflow, folder)
    assert table["prediction_id"].is_unique
    rows = dict(zip(table["prediction_id"], table["input"].map(number_of), strict=True))
    assert set(outcomes.answered) <= set(rows)
    assert all(rows[one] == number for one, number in outcomes.answered.items())
    # What nobody was told of is there only where the answer was a refusal, or never arrived.
    others = [number for one, number in rows.items() if one not in outcomes.answered]
    refused = {number for number, status in outcomes.refused.items() if status == 422}
    assert set(others) <= refused | outcomes.broken
    assert refused <= set(others)
    assert len(set(rows.values())) == len(rows)
    check_traces(around, rows, set(table.loc[table["status"] == "failed", "prediction_id"]))
    assert evidence.in_minutes(around.database) == len(rows)
    assert not list(around.places.root.glob("dead/*"))
    assert not segments(around.places.journal)
    return len(rows)


def check_traces(around: Stand, rows: dict[str, int], failed: set[str]) -> None:
    """See that no trace is there twice, or half, and that those which are not are counted."""
    traces = evidence.in_traces(around.mlflow)
    totals = evidence.totals(around.database)
    assert set(traces) <= set(rows)
    assert set(traces.values()) == {1}
    assert failed <= set(traces)
    assert totals["traces_sent"] == len(traces)
    assert totals.get("traces_refused", 0) == 0
    assert totals["traces_sent"] + totals["traces_thinned"] == len(rows)


def number_of(recorded: str) -> int:
    """Return the number that a request had, from the input as it was recorded."""
    return int(json.loads(recorded)["features"][0])


def report(around: Stand, load: Load, rows: int, loading: float, catching: float) -> None:
    """Print what happened."""
    outcomes, totals = load.outcomes, evidence.totals(around.database)
    lines = {
        "requests": outcomes.sent,
        "answered 200": len(outcomes.answered),
        "answered otherwise": outcomes.statuses(),
        "connections broken in a request": len(outcomes.broken),
        "kills of gateway, shipper": (around.gateway.starts - 1, around.shipper.starts - 1),
        "rows in Parquet, each once": rows,
        "parts": len(evidence.parts(around.mlflow)),
        "traces sent, thinned": (totals["traces_sent"], totals["traces_thinned"]),
        "seconds of load": round(loading, 1),
        "seconds until caught up": round(catching, 1),
    }
    table = "".join(f"| {name} | {value} |\n" for name, value in lines.items())
    sys.stdout.write(f"\n| what | figure |\n|---|---|\n{table}")
