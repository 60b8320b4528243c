"""The whole shipper, as a process, with a real MLflow server."""

import signal
import time
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from mlflow import MlflowClient

from services.core.settings import Settings
from services.ledger.journal import Journal
from services.ledger.places import Places
from services.ledger.reading import segments
from services.ledger.records import trace_id
from tests.conftest import settings_for_tests
from tests.ledger.journals import encoded, record
from tests.ledger.shipping.test_shipper_process import Programs, programs, status, until
from tests.support.mlflow_server import MlflowServer
from tests.support.patience import PATIENCE

__all__ = ["programs"]
pytestmark = pytest.mark.slow

MODELS = [("number", "1"), ("number", "2"), ("other", "1")]


def write(settings: Settings, count: int) -> list[str]:
    """Write records of several models, some of them failed; return their ids."""
    journal = Journal(settings)
    records = [
        record(
            model=MODELS[place % 3][0],
            version=MODELS[place % 3][1],
            status="failed" if place % 10 == 0 else "succeeded",
        )
        for place in range(count)
    ]
    for payload in encoded(records):
        journal.append(payload)
    journal.close()
    return [one["id"] for one in records]


def stored(client: MlflowClient, experiment: str, folder: Path) -> list[str]:
    """Return the id of every row of every Parquet part."""
    found: list[str] = []
    for run in client.search_runs([experiment]):
        at = folder / run.info.run_id
        at.mkdir(parents=True)
        if client.list_artifacts(run.info.run_id, "predictions"):
            local = client.download_artifacts(run.info.run_id, "predictions", str(at))
            for part in Path(local).glob("*.parquet"):
                found += parquet.read_table(part)["prediction_id"].to_pylist()
    return found


def traced(client: MlflowClient, experiment: str) -> list[str]:
    """Return the id of every trace."""
    found: list[str] = []
    token = None
    while True:
        page = client.search_traces(
            locations=[experiment], page_token=token, include_spans=False, max_results=500
        )
        found += [trace.info.trace_id for trace in page]
        token = page.token
        if not token:
            return found


def test_what_is_written_arrives_once_through_hangs_and_kills(
    programs: Programs, tmp_path: Path, mlflow_server: MlflowServer
) -> None:
    name = f"whole-{tmp_path.name}"
    settings = settings_for_tests(data_dir=tmp_path, ledger_segment_bytes=32 * 1024)
    options = {
        "MLFLOW_TRACKING_URI": mlflow_server.uri, "LEDGER_EXPERIMENT": name,
        "LEDGER_TRACE_RATE": 1000,
    }  # fmt: skip
    journal = Places(tmp_path).journal
    written = write(settings, 600)
    shipper = programs.shipper(**options)
    until(lambda: status(tmp_path).get("parts_stored", 0) > 0)
    mlflow_server.freeze()
    written += write(settings, 300)
    time.sleep(2)
    shipper.kill()
    shipper.wait()
    shipper = programs.shipper(**options)
    time.sleep(3)
    assert segments(journal), "nothing is deleted that MLflow does not have"
    mlflow_server.thaw()
    until(lambda: not segments(journal), 120)
    until(lambda: status(tmp_path)["pending_bytes"] == 0 and status(tmp_path)["mlflow"] == "up")
    shipper.send_signal(signal.SIGTERM)
    assert shipper.wait(PATIENCE) == 0
    client = MlflowClient(mlflow_server.uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    found_rows = stored(client, experiment.experiment_id, tmp_path / "parts")
    assert sorted(found_rows) == sorted(written)
    found_traces = traced(client, experiment.experiment_id)
    assert sorted(found_traces) == sorted(trace_id(one) for one in written)
    found = status(tmp_path)
    assert (found["pending"], found["dead_letters"], found["last_error"]) == (0, 0, {})
