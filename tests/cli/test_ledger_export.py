"""`slipway ledger export`: predictions in files, each once."""

import csv
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from services.core.settings import Settings
from services.ledger.places import Places
from services.ledger.reading import segments
from tests.cli.conftest import Command
from tests.cli.ledger_fixtures import Index, Write, database, index, settings, shipper, write

__all__ = ["database", "index", "settings", "shipper", "write"]


@pytest.fixture
def many(write: Write, index: Index) -> list[dict[str, Any]]:
    """Predictions of four hours, a minute apart, one without a database row."""
    now = time.time()
    made = [
        write(time=now - 60 * number, model="iris" if number % 3 else "wine")
        for number in reversed(range(240))
    ]
    index()
    return [*made, write(time=now, model="iris", input={"text": 'é,\n"x"'})]


def test_export_as_parquet(slipway: Command, many: list[dict[str, Any]], tmp_path: Path) -> None:
    done = slipway("ledger", "export", "--output", tmp_path / "all.parquet")
    assert done.code == 0, done.err
    table = pd.read_parquet(tmp_path / "all.parquet")
    assert sorted(table.prediction_id) == sorted(one["id"] for one in many)
    assert set(table.input.map(json.loads).map(lambda value: next(iter(value)))) == {
        "features", "text",
    }  # fmt: skip
    assert f"{len(many)} predictions are in" in done.err
    assert [file.name for file in tmp_path.iterdir() if "all" in file.name] == ["all.parquet"]


def test_export_of_a_time_and_a_model(
    slipway: Command, many: list[dict[str, Any]], tmp_path: Path
) -> None:
    options = ["--since", "90min", "--until", "30min", "--model", "iris"]
    done = slipway("ledger", "export", "-o", "part.jsonl", *options)
    assert done.code == 0, done.err
    found = [json.loads(line) for line in Path("part.jsonl").read_text().splitlines()]
    times = sorted(time.time() - one["time"] for one in found)
    assert 1700 < times[0] < 1900
    assert 5300 < times[-1] < 5500
    assert {one["model"] for one in found} == {"iris"}
    assert len(found) == pytest.approx(40, abs=2)
    assert found[0] in many


def test_export_as_csv(slipway: Command, many: list[dict[str, Any]]) -> None:
    assert slipway("ledger", "export", "-o", "all.csv").code == 0
    with Path("all.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(many)
    assert [row for row in rows if json.loads(row["input"]) == many[-1]["input"]]


def test_export_leaves_files_alone(slipway: Command, many: list[dict[str, Any]]) -> None:
    Path("all.csv").write_text("mine")
    refused = slipway("ledger", "export", "-o", "all.csv")
    assert refused.code == 2
    assert Path("all.csv").read_text() == "mine"
    assert slipway("ledger", "export", "-o", "all.csv", "--force").code == 0
    assert Path("all.csv").read_text() != "mine"
    for wrong in (["-o", "all.xlsx"], ["-o", "no/all.csv"], ["-o", "b.csv", "--since", "soon"]):
        done = slipway("ledger", "export", *wrong)
        assert done.code == 2, wrong
        assert len(done.err.strip().splitlines()) == 1


@pytest.mark.usefixtures("shipper")
def test_export_while_records_move(slipway: Command, write: Write, settings: Settings) -> None:
    """Each is in the file once, wherever the shipper had it at that moment."""
    made = [write()["id"] for _ in range(3000)]
    done = slipway("ledger", "export", "-o", "all.jsonl")
    assert done.code == 0, done.err
    found = [json.loads(line)["id"] for line in Path("all.jsonl").read_text().splitlines()]
    assert sorted(found) == sorted(made)
    assert segments(Places(settings.data_dir).journal)
