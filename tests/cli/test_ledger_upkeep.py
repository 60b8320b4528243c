"""`slipway ledger resend` and `prune`: dead letters and retention, in a real MLflow too."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.core.settings import Settings, load_settings
from services.ledger import blobs
from services.ledger.database import lookup
from services.ledger.database.opening import open_database
from services.ledger.journal import Journal
from services.ledger.places import Places
from services.ledger.records import trace_id
from services.ledger.shipping import deadletters
from services.ledger.shipping.indexing import Indexing
from services.ledger.shipping.parquet import Parquet
from tests.cli.conftest import Command
from tests.ledger.journals import encoded, record
from tests.support.mlflow_server import MlflowServer, free_port, mlflow_server

__all__ = ["mlflow_server"]

PAGE = Path(__file__).parents[2] / "docs" / "records.md"
_DAY = 86_400.0


def places() -> Places:
    return Places(load_settings().data_dir)


def index(settings: Settings, made: list[dict[str, Any]]) -> None:
    """Write records to a journal that has ended, and take them into the database."""
    journal = Journal(settings)
    for payload in encoded(made):
        journal.append(payload)
    journal.close()
    database = open_database(settings)
    stage = Indexing(settings, database, Places(settings.data_dir))
    while stage.step():
        pass
    database.close()


def put_aside(sink: str, made: list[dict[str, Any]], reason: str = "422 No.") -> None:
    deadletters.append(places(), sink, [(orjson.dumps(one), reason) for one in made])


def test_nothing_lies_aside(slipway: Command, tmp_path: Path) -> None:
    done = slipway("ledger", "resend", "--yes")
    assert (done.code, done.out, done.err) == (0, "", "Nothing lies aside.\n")
    assert not (tmp_path / "data").exists()
    assert slipway("ledger", "resend", "--sink", "moon").code == 2


def test_looking_sends_nothing(slipway: Command) -> None:
    made = [record(model="iris") for _ in range(25)]
    put_aside("traces", made)
    put_aside("feedback", [{"id": "1", "prediction_id": made[0]["id"]}], "400 \x1b[31mNever.")
    before = (places().dead / "traces.jsonl").read_bytes()
    done = slipway("ledger", "resend")
    assert done.code == 0, done.err
    assert re.search(rf"^\S+ \S+ +traces +{made[0]['id']} +iris +422 No\.", done.out, re.MULTILINE)
    assert re.search(r"^ +traces +and 5 more", done.out, re.MULTILINE)
    assert re.search(rf"feedback +{made[0]['id']} +– +400  \[31mNever\.", done.out)
    assert done.err == "Nothing was sent; --yes sends them again.\n"
    assert (places().dead / "traces.jsonl").read_bytes() == before
    assert "feedback" not in slipway("ledger", "resend", "--sink", "traces").out
    status = slipway("ledger", "status")
    assert status.code == 1
    assert re.search(r"^dead letters +feedback 1, traces 25", status.out, re.MULTILINE)
    assert "26 were refused for good" in status.err


def test_mlflow_is_away(slipway: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    made = record()
    index(load_settings(), [made])
    put_aside("traces", [made])
    done = slipway("ledger", "resend", "--yes")
    assert done.code == 1
    assert done.err.startswith("error: traces: MLflow does not answer.")
    assert len(done.err.splitlines()) == 1
    assert deadletters.counts(places()) == {"traces": 1}


@pytest.mark.slow
def test_what_was_mended_goes_and_the_rest_stays(
    slipway: Command, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.setenv("LEDGER_EXPERIMENT", "resent")
    good, bad = record(), record(id="no-uuid")
    index(load_settings(), [good])
    put_aside("traces", [good, bad])
    put_aside("parquet", [good])
    done = slipway("ledger", "resend", "--yes")
    assert done.code == 1
    assert "traces: 1 sent, 1 left\nparquet: 1 sent, 0 left\n" in done.out
    assert done.err.startswith("error: traces: ")
    assert deadletters.counts(places()) == {"traces": 1}
    client = MlflowClient(mlflow_server.uri)
    assert client.get_trace(trace_id(good["id"])).info.tags["slipway.model"] == good["model"]
    found = client.get_experiment_by_name("resent")
    assert found is not None
    (run,) = client.search_runs([found.experiment_id])
    assert len(client.list_artifacts(run.info.run_id, "predictions")) == 1


def test_prune(slipway: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_KEEP_DAYS", "2")
    settings, now = load_settings(), time.time()
    made = [record(time=now - age * _DAY) for age in (0, 1, 3, 9)]
    index(settings, made)
    old, young = (blobs.digest(data) + ".bin" for data in (b"old", b"young"))
    blobs.store(places(), old, b"old")
    blobs.store(places(), young, b"young")
    os.utime(blobs.path(places(), old), (now - 8 * _DAY, now - 8 * _DAY))
    dry = slipway("ledger", "prune", "--dry-run")
    assert dry.code == 0, dry.err
    assert re.search(r"^rows +2$", dry.out, re.MULTILINE)
    assert re.search(r"^blobs +1 +3 bytes$", dry.out, re.MULTILINE)
    assert dry.err == "Nothing was deleted (--dry-run).\n"
    assert kept(settings) == {one["id"] for one in made}
    assert slipway("ledger", "prune").out.splitlines()[1:] == dry.out.splitlines()[1:]
    assert kept(settings) == {one["id"] for one in made[:2]}
    assert not blobs.path(places(), old).exists()
    assert blobs.path(places(), young).exists()


def test_prune_does_what_it_can(slipway: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    assert "No prediction is on record" in slipway("ledger", "prune").err
    settings = load_settings()
    made = [record(time=time.time() - age * _DAY) for age in (0, 9)]
    index(settings, made)
    done = slipway("ledger", "prune")
    assert done.code == 1
    assert kept(settings) == {made[0]["id"]}
    assert len(done.err.splitlines()) == 1, "once, not for each thing that MLflow has"
    assert done.err.startswith("error: MLflow does not answer.")


def kept(settings: Settings) -> set[str]:
    database = open_database(settings)
    with database.reading() as connection:
        found = {row.id for row in lookup.recent(connection, limit=100)}
    database.close()
    return found


@pytest.mark.slow
def test_the_page_shows_how_to_read_it_back(
    mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python of docs/records.md runs as it stands, on what the shipper stored."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    settings = load_settings()
    made = [record(), record(), record(output=None, status="failed")]
    index(settings, made)
    database = open_database(settings)
    stage = Parquet(settings, database, places())
    while stage.step():
        pass
    stage.close()
    database.close()
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert "http://127.0.0.1:5000" in code
    code = code.replace("http://127.0.0.1:5000", mlflow_server.uri)
    code += "print('IDS', *sorted(table.prediction_id), table.answer.notna().sum())\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "IDS " + " ".join(sorted(one["id"] for one in made)) + " 2" in done.stdout
