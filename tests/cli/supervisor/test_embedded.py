"""What `slipway run` starts, and in which order it stops it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.cli.supervisor.embedded import GATEWAY, LEDGER, MLFLOW, SEED, programs
from services.cli.supervisor.program import Program
from services.cli.supervisor.redis import CACHE, REDIS
from services.cli.supervisor.workers import BEAT, QUEUES
from services.core.settings import Settings
from tests.conftest import MakeSettings
from tests.support.mlflow_server import free_port
from tests.support.patience import PATIENCE

ROOT = Path(__file__).parents[3]


WORKERS = [f"worker-{queue}" for queue in QUEUES]


def started(settings: Settings, **options: bool) -> dict[str, Program]:
    given: dict[str, Any] = {"mlflow": False, "seed": False, **options}
    found = programs(settings, **given)
    return {program.name: program for program in found}


def test_each_goes_before_what_it_uses(make_settings: MakeSettings) -> None:
    ports = {"mlflow_port": free_port(), "redis_port": free_port()}
    settings = make_settings(cache="redis", **ports)
    names = list(started(settings, mlflow=True, seed=True))
    assert names == [GATEWAY, BEAT, *WORKERS, LEDGER, SEED, CACHE, REDIS, MLFLOW]


def test_workers_come_after_redis_and_the_gateway(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    port = free_port()
    found = started(make_settings(redis_port=port))
    for name in (BEAT, *WORKERS):
        program = found[name]
        assert set(program.after) == {GATEWAY, REDIS}
        assert program.command[-2:] == ("services.worker", name.removeprefix("worker-"))
        assert program.environment["REDIS_URL"] == f"redis://127.0.0.1:{port}/0"
        assert program.log == tmp_path / "logs" / f"{name}.log"
        assert program.ended_by == signal.SIGTERM
        assert program.grace > 25
    assert {found[name].group for name in WORKERS} == {"workers"}
    assert found[BEAT].group is None
    patient = [name for name in WORKERS if found[name].niceness > 0]
    assert patient == ["worker-batch", "worker-training"]
    assert found[GATEWAY].environment["REDIS_URL"] == f"redis://127.0.0.1:{port}/0"


def test_no_worker_where_none_is_wanted(make_settings: MakeSettings) -> None:
    port = free_port()
    assert list(started(make_settings(redis_port=port), workers=False)) == [GATEWAY, LEDGER, REDIS]
    assert list(started(make_settings(jobs=False, redis_port=port))) == [GATEWAY, LEDGER]


def test_workers_beside_somebody_elses_redis(make_settings: MakeSettings) -> None:
    found = started(make_settings(redis_url="redis://elsewhere:6379/0", cache="redis"))
    assert list(found) == [GATEWAY, BEAT, *WORKERS, LEDGER]
    assert found[BEAT].after == (GATEWAY,)
    assert "CACHE_REDIS_URL" not in found[GATEWAY].environment


def test_the_shipper_knows_mlflow_and_gives_way(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    port = free_port()
    found = started(make_settings(mlflow_port=port, jobs=False), mlflow=True)
    ledger, gateway = found[LEDGER], found[GATEWAY]
    assert ledger.environment["MLFLOW_TRACKING_URI"] == f"http://127.0.0.1:{port}"
    assert ledger.log == tmp_path / "logs" / "ledger.log"
    assert ledger.niceness == 10
    assert not ledger.after, "records are indexed while MLflow is still starting"
    assert gateway.environment["LEDGER_SHIPPER"] == "off"
    assert "LEDGER_SHIPPER" not in ledger.environment


@pytest.mark.parametrize("choice", [{"ledger": False}, {"ledger_shipper": "off"}])
def test_no_shipper_where_none_is_wanted(
    make_settings: MakeSettings, choice: dict[str, Any]
) -> None:
    found = started(make_settings(jobs=False, **choice))
    assert list(found) == [GATEWAY]
    assert "LEDGER_SHIPPER" not in found[GATEWAY].environment


@pytest.mark.slow
def test_beside_somebody_elses_mlflow_the_shipper_runs_too(tmp_path: Path) -> None:
    known = {name.upper() for name in Settings.model_fields}
    environment = {key: value for key, value in os.environ.items() if key not in known}
    port = free_port()
    # Nobody is there: both serve and index all the same.
    environment |= {
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}", "PYTHONPATH": str(ROOT),
        "DATA_DIR": str(tmp_path), "PORT": str(port), "SHUTDOWN_DELAY": "0", "JOBS": "false",
    }  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "run"],
            cwd=tmp_path, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        status = tmp_path / "ledger" / "status.json"
        _until(lambda: status.exists() and _live(port), running, tmp_path / "log")
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            code = running.wait(PATIENCE)
        finally:
            running.kill()
    assert code == 0, (tmp_path / "log").read_text()
    assert "shipper stopped" in (tmp_path / "logs" / "ledger.log").read_text()


def _live(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _until(true: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while not true():
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.2)
