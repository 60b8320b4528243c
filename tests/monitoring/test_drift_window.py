"""The window of a version, out of real databases and blobs."""

import json
from typing import Any

import cv2
import numpy as np
import pytest

from services.core.settings import Settings
from services.families.base import Family
from services.ledger import blobs
from services.ledger.database.opening import Database
from services.ledger.places import Places
from services.ledger.records import Record
from services.monitoring.drift_window import NOT_RECORDED, PARTLY, RECORDED, Reader, Window
from tests.ledger.database.conftest import database, postgres_server, postgres_url, settings
from tests.ledger.database.made import NOON, fill, record

__all__ = ["database", "postgres_server", "postgres_url", "settings"]

KEY = ("credit", "1")
FAMILIES: dict[str, Family] = {}


def tabular(n: int, **values: Any) -> Record:
    made = {
        "time": NOON + n,
        "input": {"inputs": [{"age": n, "city": "Rome"}]},
        "output": {"predictions": ["good"], "probabilities": [[0.75, 0.25]]},
    }
    return record(**{**made, **values})


@pytest.fixture
def reader(settings: Settings, database: Database) -> Reader:
    return Reader(settings, FAMILIES, database)


def window(reader: Reader, rows: int = 500) -> Window:
    return reader.window(KEY, reader.newest(KEY, 0, rows), rows, ("age", "city"))


def test_the_newest_rows_with_answers(reader: Reader, database: Database) -> None:
    fill(database, [tabular(n) for n in range(130)])
    found = window(reader, 100)
    assert (found.predictions, len(found.samples), found.inputs) == (100, 100, RECORDED)
    assert [sample.features["age"] for sample in found.samples] == list(range(129, 29, -1))
    assert (found.first, found.last) == (round((NOON + 30) * 1e6), round((NOON + 129) * 1e6))
    one = found.samples[0]
    assert (one.features["city"], one.prediction, one.confidence) == ("Rome", "good", 0.75)
    # What comes later is found, and what was described before is as it was.
    fill(database, [tabular(n) for n in range(130, 140)], number=2)
    again = window(reader, 100)
    assert [sample.features["age"] for sample in again.samples] == list(range(139, 39, -1))


def test_rows_without_names_get_those_of_the_signature(reader: Reader, database: Database) -> None:
    rows = [[n, "Rome"] for n in range(40)]
    many = tabular(0, input={"inputs": rows}, output={"predictions": ["good"] * 40})
    fill(database, [tabular(1, input={"features": [7, "Bari"]}), many])
    found = window(reader)
    assert found.predictions == 2
    assert found.samples[0].features == {"age": 7, "city": "Bari"}
    # Of many rows that were sent together only a few count.
    assert len(found.samples) == 1 + 8
    assert [sample.features["age"] for sample in found.samples[1:]][-1] == 39


def test_pictures_and_long_values_lie_beside_the_records(
    reader: Reader, database: Database, settings: Settings
) -> None:
    places = Places(settings.data_dir)
    png = cv2.imencode(".png", np.full((32, 32, 3), 200, np.uint8))[1].tobytes()
    picture = blobs.picture_name(png)
    blobs.store(places, picture, png)
    long = json.dumps({"inputs": [{"age": 41, "city": "Oslo"}]}).encode()
    name = f"{blobs.digest(long)}.json"
    blobs.store(places, name, long)
    about = {"bytes": len(png), "kind": "png"}
    fill(database, [
        tabular(3, input=about, input_ref=picture),
        tabular(2, input=None, input_ref=name),
        tabular(1, input=about, input_ref="0" * 64 + ".png"),
    ])  # fmt: skip
    first, second, third = window(reader).samples
    (seen,) = first.features.values()
    assert isinstance(seen, np.ndarray)
    assert float(seen.mean()) == pytest.approx(200 / 255, abs=0.01)
    assert second.features == {"age": 41, "city": "Oslo"}
    # It had its time: the answer alone is left.
    assert (third.features, third.prediction) == ({}, "good")
    assert window(reader).inputs == PARTLY


@pytest.mark.parametrize("rule", ["none", "digest"])
def test_what_may_not_be_recorded_leaves_the_answers(
    reader: Reader, database: Database, rule: str
) -> None:
    digest = "sha256:" + "0" * 64 if rule == "digest" else None
    fill(database, [tabular(n, input=None, input_digest=digest) for n in range(5)])
    found = window(reader)
    assert found.inputs == NOT_RECORDED
    assert {(s.prediction, len(s.features)) for s in found.samples} == {("good", 0)}


def test_odd_records_hold_up_nothing(reader: Reader, database: Database) -> None:
    odd = ["x", 7, [], {}, {"inputs": {"age": []}}, {"inputs": [None, 3]}, {"a": {"b": [[[]]]}}]
    fill(database, [tabular(n, input=one, output=one) for n, one in enumerate(odd)])
    fill(database, [tabular(n + 50) for n in range(5)], number=2)
    assert window(reader).predictions == len(odd) + 5


def test_a_window_is_bounded_in_bytes(
    reader: Reader, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.monitoring.drift_window._MOST_BYTES", 20_000)
    fill(database, [tabular(n) for n in range(400)])
    assert 1 <= window(reader).predictions < 400


def test_an_empty_window(reader: Reader) -> None:
    found = window(reader)
    assert (found.predictions, found.first, found.last, list(found.samples)) == (0, None, None, [])
