"""`slipway ledger`: looking at records, in real journals and a real database."""

import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.core.ids import new_id
from services.core.settings import Settings
from services.ledger.database.feedback import Feedback, add_feedback
from services.ledger.database.index import mark_traces
from services.ledger.database.opening import Database
from services.ledger.database.runs import remember_run
from services.ledger.database.tables import SENT
from services.ledger.places import Places
from tests.cli.conftest import Command
from tests.cli.ledger_fixtures import Index, Write, database, index, settings, shipper, write
from tests.support.mlflow_server import free_port
from tests.support.patience import PATIENCE

__all__ = ["database", "index", "settings", "shipper", "write"]


def test_before_there_is_anything(slipway: Command, tmp_path: Path) -> None:
    done = slipway("ledger", "status")
    assert done.code == 0, done.err
    assert re.search(r"^waiting +0 predictions *$", done.out, re.MULTILINE)
    assert re.search(r"^shipper +down *$", done.out, re.MULTILINE)
    assert slipway("ledger", "tail").code == 0
    assert slipway("ledger", "show", new_id()).code == 1
    assert slipway("ledger", "export", "-o", "all.csv").code == 0
    assert not (tmp_path / "data").exists(), "looking makes no database"


def test_status_without_a_shipper(slipway: Command, write: Write, index: Index) -> None:
    write(time=time.time() - 7200)
    write()
    index()
    write()
    done = slipway("ledger", "status")
    assert done.code == 1
    assert re.search(r"^waiting +3 predictions, the oldest 2\.0 h old", done.out, re.MULTILINE)
    assert done.err == (
        "No shipper is running: slipway run starts one, slipway ledger ship is one.\n"
    )
    found = json.loads(slipway("ledger", "status", "--json").out)
    assert found["journal"]["pending"] == 3
    assert 0 < found["journal"]["unindexed_bytes"] < found["journal"]["bytes"]
    assert found["journal"]["limit"] == 1024**3
    assert found["database"] == {"kind": "SQLite", "state": "up"}
    assert (found["shipper"]["up"], found["mlflow"]["state"]) == (False, "none")
    assert len(found["problems"]) == 1


@pytest.mark.usefixtures("shipper")
def test_status_with_a_shipper(slipway: Command, write: Write) -> None:
    write()
    until = time.monotonic() + PATIENCE
    while True:
        found = json.loads(slipway("ledger", "status", "--json").out)
        if found["journal"]["pending"] == 1 or time.monotonic() > until:
            break
        time.sleep(0.1)
    assert found["journal"]["unindexed_bytes"] == 0
    assert found["shipper"]["up"]
    assert found["problems"] == []
    done = slipway("ledger", "status")
    assert done.code == 0, done.err
    assert re.search(r"^shipper +up \(process \d+\)", done.out, re.MULTILINE)
    assert re.search(r"^waiting +1 prediction, the oldest \d+ s old", done.out, re.MULTILINE)


def test_status_names_the_stage_that_fails(
    slipway: Command, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a shipper wrote a moment ago, while its lock is held."""
    import fcntl

    places = Places(settings.data_dir)
    places.root.mkdir(parents=True)
    said = {
        "pid": 7,
        "time": time.time(),
        "mlflow": "down",
        "pending": 5,
        "oldest_seconds": 300.0,
        "traces_sent": 1200,
        "traces_thinned": 300,
        "trace_share": 0.25,
        "last_error": {"parquet": {"message": "No\x1b[31m room.", "since": time.time() - 180}},
    }
    places.status.write_text(json.dumps(said))
    with places.shipper_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = slipway("ledger", "status")
        places.status.write_text(json.dumps({**said, "time": time.time() - 60}))
        hanging = slipway("ledger", "status")
    assert done.code == 1
    assert re.search(r"^MLflow +down", done.out, re.MULTILINE)
    traces = r"^traces +1,200 sent, 0 wait, 300 thinned out, 25% are sent now"
    assert re.search(traces, done.out, re.MULTILINE)
    assert done.err.splitlines() == [
        "MLflow does not answer.", "parquet, for 3.0 min: No [31m room.",
    ]  # fmt: skip
    assert hanging.code == 1
    assert "The shipper hangs: it has said nothing for 60 s." in hanging.err


def test_status_when_mlflow_is_away(
    slipway: Command, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    write()
    done = slipway("ledger", "status")
    assert done.code == 1
    assert "MLflow does not answer." in done.err


def test_status_when_the_database_is_broken(
    slipway: Command, write: Write, settings: Settings
) -> None:
    made = write()
    Places(settings.data_dir).database.write_bytes(b"no database" * 1000)
    done = slipway("ledger", "status")
    assert done.code == 1
    assert "The ledger's database does not answer." in done.err
    assert re.search(r"^waiting +1 prediction", done.out, re.MULTILINE)
    tail = slipway("ledger", "tail")
    assert tail.code == 0
    assert made["id"] in tail.out
    assert "does not answer" in tail.err
    export = slipway("ledger", "export", "-o", "all.jsonl")
    assert export.code == 1, "an export that lacks most of it is none"
    assert len(export.err.strip().splitlines()) == 1
    assert not Path("all.jsonl").exists()


def test_tail_shows_the_newest_last(slipway: Command, write: Write, index: Index) -> None:
    now = time.time()
    made = [write(time=now + number) for number in range(30)]
    index()
    made += [write(time=now + 30 + number) for number in range(3)]
    done = slipway("ledger", "tail", "-n", "5")
    assert done.code == 0, done.err
    ids = [line.split()[-1] for line in done.out.splitlines()[1:]]
    assert ids == [one["id"] for one in made[-5:]]
    lines = slipway("ledger", "tail", "--json").out.splitlines()
    assert [json.loads(line) for line in lines] == made[-20:]


def test_tail_of_what_fits(slipway: Command, write: Write, index: Index) -> None:
    error = {"code": "prediction_failed", "message": "No.", "phase": "inference"}
    broken = write(model="iris", status="failed", error=error, output=None, confidence=None)
    index()
    write(model="iris")
    waiting = write(model="iris", status="failed", error=error)
    write(status="failed", error=error)
    done = slipway("ledger", "tail", "--model", "iris", "--status", "failed")
    lines = done.out.splitlines()[1:]
    assert [line.split()[-2] for line in lines] == [broken["id"], waiting["id"]]
    assert all(line.endswith("prediction_failed") for line in lines)
    wrong = slipway("ledger", "tail", "--status", "broken")
    assert wrong.code == 2
    assert "succeeded" in wrong.err


def test_tail_does_not_let_a_name_steer_the_terminal(slipway: Command, write: Write) -> None:
    write(model="evil\x1b]0;title\x07")
    assert "\x1b" not in slipway("ledger", "tail").out


def test_show(slipway: Command, write: Write, index: Index, database: Database) -> None:
    made = write(caller="key-1")
    index()
    said = Feedback(
        new_id(), made["id"], "correct", "feedback", False, "It is a cat.", "ann", 1_700_000_000
    )
    with database.begin() as connection:
        add_feedback(connection, said)
    done = slipway("ledger", "show", made["id"].upper())
    assert done.code == 0, done.err
    expected = {
        "model": r"ml_classifier v1 \(Production\)",
        "caller": "key-1",
        "took": r"2\.00 ms",
        "  inference": r"1\.00 ms",
        "input": r'\{"features": \[0\.5, .*',
        "output": r'\{"prediction": 1, "probabilities": \[0\.1, 0\.9\]\}',
        "trace": f"tr-{made['id'].replace('-', '')}, not sent yet",
        "feedback 1": r"correct = false by ann – It is a cat\.",
    }
    for name, value in expected.items():
        assert re.search(rf"^{name} +{value} *$", done.out, re.MULTILINE), name
    found = json.loads(slipway("ledger", "show", made["id"], "--json").out)
    assert {name: found[name] for name in made} == made
    assert found["feedback"][0]["rationale"] == "It is a cat."


def test_show_leads_to_mlflow(
    slipway: Command,
    write: Write,
    index: Index,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_UI_URL", "https://mlflow.example")
    made = write()
    index()
    assert json.loads(slipway("ledger", "show", made["id"], "--json").out)["mlflow"] == {}
    day = datetime.fromtimestamp(made["time"], UTC).strftime("%Y-%m-%d")
    with database.begin() as connection:
        remember_run(connection, made["model"], made["version"], day, "7", "run-1")
        mark_traces(connection, [made["id"]], SENT)
    pages = json.loads(slipway("ledger", "show", made["id"], "--json").out)["mlflow"]
    trace = f"tr-{made['id'].replace('-', '')}"
    assert pages["serving run"] == "https://mlflow.example/#/experiments/7/runs/run-1"
    assert pages["trace"].startswith("https://mlflow.example/#/experiments/7/traces?")
    assert pages["trace"].endswith(trace)
    shown = slipway("ledger", "show", made["id"]).out
    assert re.search(rf"^trace +{trace}, sent *$", shown, re.MULTILINE)
    assert pages["trace"] in shown


def test_show_what_only_the_journal_has(slipway: Command, write: Write) -> None:
    write()
    made = write(input=None, input_digest="sha256:" + "ab" * 32)
    done = slipway("ledger", "show", made["id"])
    assert done.code == 0, done.err
    assert re.search(r"^input +sha256:abab", done.out, re.MULTILINE)
    missing = slipway("ledger", "show", new_id())
    assert missing.code == 1
    assert missing.err.startswith("error: No such prediction is on record here.")
    assert slipway("ledger", "show", "42").code == 2


def test_nothing_heavy_is_imported_for_help() -> None:
    code = (
        "import sys\n"
        "from contextlib import suppress\n"
        "from services.cli.main import main\n"
        "for command in 'status tail show export resend prune ship'.split():\n"
        "    with suppress(SystemExit):\n"
        "        main(['ledger', command, '--help'])\n"
        "heavy = ('torch', 'numpy', 'pyarrow', 'pandas', 'sqlalchemy', 'mlflow')\n"
        "print('HEAVY', [name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: slipway ledger ") == 7
    assert "HEAVY []" in done.stdout
