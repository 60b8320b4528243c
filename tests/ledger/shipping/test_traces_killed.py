"""Traces while things hang and die: MLflow has each of them once."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from services.core.errors import SlipwayError
from services.ledger.shipping import deadletters
from services.ledger.shipping.traces import Traces
from tests.ledger.journals import record
from tests.ledger.shipping.storing import Ledger, child, exhaust, opened, runs_of
from tests.ledger.shipping.tracing import expected, ids_of, settings_of, ship, traces_of
from tests.support.mlflow_server import MlflowServer
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.slow


def test_a_server_that_hangs(
    tmp_path: Path, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(settings_of(tmp_path, mlflow_server.uri)) as ledger:
        made = [record() for _ in range(30)]
        ledger.write(made[:10])
        stage = Traces(*ledger.stage)
        exhaust(stage)
        ledger.write(made[10:])
        mlflow_server.freeze()
        try:
            monkeypatch.setattr(stage._posting._client, "_timeout", httpx.Timeout(0.5))
            for _ in range(3):
                with pytest.raises((httpx.TimeoutException, SlipwayError)):
                    stage.step()
        finally:
            mlflow_server.thaw()
        assert ledger.totals() == {"traces_sent": 10}
        ship(ledger)
        assert ids_of(traces_of(ledger.settings)) == expected(made)
        stage.close()


def test_a_shipper_killed_again_and_again(tmp_path: Path, mlflow_server: MlflowServer) -> None:
    settings = settings_of(tmp_path, mlflow_server.uri)
    script = (
        "from services.ledger.database.opening import open_database\n"
        "from services.ledger.places import Places\n"
        "from services.ledger.shipping.traces import Traces\n"
        "stage = Traces(settings, open_database(settings), Places(settings.data_dir))\n"
        "print('ready', flush=True)\n"
        "while stage.step():\n"
        "    pass\n"
    )
    with opened(settings) as ledger:
        made = [record() for _ in range(600)]
        ledger.write(made)
        for seconds in (0.1, 0.7, 1.3):
            process = child(settings, script)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(seconds)
            process.kill()
            process.communicate()
        ship(ledger)
        assert ids_of(traces_of(settings)) == expected(made)
        assert ledger.totals() == {"traces_sent": 600}


def test_a_server_killed_in_the_middle_of_a_batch(tmp_path: Path) -> None:
    server = MlflowServer(tmp_path / "mlflow")
    try:
        settings = settings_of(tmp_path / "data", server.uri)
        with opened(settings) as ledger:
            made = [record() for _ in range(500)]
            ledger.write(made)
            worker = threading.Thread(target=ship, args=(ledger,))
            worker.start()
            _wait_for(ledger, 1)
            # In the next request, most likely.
            time.sleep(0.3)
            _kill(server)
            assert worker.is_alive()
            server.start()
            worker.join(PATIENCE)
            assert not worker.is_alive()
            assert ids_of(traces_of(settings)) == expected(made)
            ((_, run),) = runs_of(settings).items()
            assert ids_of(traces_of(settings, run_id=run.info.run_id)) == expected(made)
            assert ledger.totals() == {"traces_sent": 500}
            assert deadletters.count(ledger.places) == 0
    finally:
        server.stop()


def _kill(server: MlflowServer) -> None:
    assert server._process is not None
    with suppress(ProcessLookupError):
        os.killpg(server._process.pid, signal.SIGKILL)
    server.stop()


def _wait_for(ledger: Ledger, sent: int) -> None:
    until = time.monotonic() + PATIENCE
    while ledger.totals().get("traces_sent", 0) < sent:
        assert time.monotonic() < until
        time.sleep(0.02)
