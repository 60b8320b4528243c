"""The folder in which the programs of `slipway run` keep their metrics."""

import socket
from pathlib import Path

from services.cli.supervisor.embedded import GATEWAY, LEDGER, MLFLOW, programs
from services.cli.supervisor.metrics import shared_folder
from services.cli.supervisor.workers import BEAT, QUEUES
from services.core.metering.identity import identity
from tests.conftest import MakeSettings
from tests.support.mlflow_server import free_port

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def test_ours_are_told_and_nobody_else(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings(
        mlflow_port=free_port(), redis_port=free_port(), worker_metrics_port=9200
    )
    found = {
        one.name: one.environment
        for one in programs(settings, mlflow=True, seed=True, metrics=tmp_path)
    }
    ours = {GATEWAY, LEDGER, BEAT, *(f"worker-{queue}" for queue in QUEUES)}
    assert {name for name, told in found.items() if told.get(VARIABLE) == str(tmp_path)} == ours
    # Seven of them would want the same port, and the gateway has all of it.
    assert {found[name]["WORKER_METRICS_PORT"] for name in ours} == {""}
    assert VARIABLE not in found[MLFLOW]


def test_each_run_begins_with_an_empty_folder(make_settings: MakeSettings) -> None:
    settings = make_settings()
    home = settings.data_dir.absolute() / "metrics"
    number, _, began = identity().partition("-")
    killed = home / f"{socket.gethostname()}-{number}-{int(began) - 1}"
    elsewhere = home / f"other-host-{number}-{began}"
    for left in (killed, elsewhere):
        left.mkdir(parents=True)
        (left / "counter_1-1.db").write_bytes(b"x")
    with shared_folder(settings) as first:
        assert not list(first.iterdir())
        assert sorted(home.iterdir()) == sorted([first, elsewhere])
    assert list(home.iterdir()) == [elsewhere]


def test_an_operators_own_folder_is_left_alone(make_settings: MakeSettings, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "counter_1-1.db").write_bytes(b"x")
    with shared_folder(make_settings(prometheus_multiproc_dir=own)) as folder:
        assert folder == own
    assert list(own.iterdir()) == [own / "counter_1-1.db"]
    assert not (tmp_path / "metrics").exists()
