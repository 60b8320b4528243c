"""Segments as Parquet: rows, types, sameness, and records that fit nowhere."""

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow.parquet as pq
import pytest

from services.core.settings import Settings
from services.ledger.frames import PREDICTION, encode
from services.ledger.journal import Journal
from services.ledger.places import Places
from services.ledger.reading import Segment, segments
from services.ledger.shipping.parts import SCHEMA, payloads_of, write_parts, write_records
from tests.conftest import MakeSettings
from tests.ledger.journals import encoded, record
from tests.ledger.shipping.storing import NOON, TODAY


def write(settings: Settings, *payloads: bytes) -> Segment:
    """Return a sealed segment with these payloads."""
    journal = Journal(settings)
    for payload in payloads:
        journal.append(payload)
    journal.close()
    (segment,) = segments(Places(settings.data_dir).journal)
    return segment


def rows(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return found


def test_a_record_becomes_a_row(make_settings: MakeSettings, tmp_path: Path) -> None:
    whole = record(
        id="0192a0f0-0000-7000-8000-000000000001",
        time=NOON + 0.123456,
        caller="shop",
        status="failed",
        error={"code": "invalid_input", "message": "Too short.", "where": "x", "phase": "queue"},
        input={"text": "grün\n", "n": [1, 2.5, None]},
        input_digest="sha256:ab",
        input_ref="ab.jpg",
        output=None,
        output_ref="cd.json",
        confidence=None,
        cached=True,
        phases={"queue": 0.5, "inference": 1},
    )
    made = write_parts(write(make_settings(), *encoded([whole])), tmp_path / "parts")
    (part,) = made.parts
    assert (part.key, part.rows, part.folder) == (
        ("ml_classifier", "1", "2026-11-20"), 1, "predictions",
    )  # fmt: skip
    (row,) = rows(part.file)
    assert row.pop("time").isoformat() == "2026-11-20T12:00:00.123456+00:00"
    assert row == {
        "prediction_id": "0192a0f0-0000-7000-8000-000000000001",
        "model": "ml_classifier", "version": "1", "stage": "Production", "mode": "sync",
        "caller": "shop", "request_id": "request-1", "status": "failed",
        "error_code": "invalid_input", "error_message": "Too short.",
        "input": '{"text":"grün\\n","n":[1,2.5,null]}', "input_digest": "sha256:ab",
        "input_ref": "ab.jpg", "output": None, "output_ref": "cd.json", "seconds": 0.002,
        "queue_seconds": 0.5, "preprocess_seconds": None, "inference_seconds": 1.0,
        "postprocess_seconds": None, "confidence": None, "cached": True,
    }  # fmt: skip


def test_one_part_for_each_model_version_and_day(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    records = [
        record(model=model, version=version, time=time)
        for model in ("a", "b") for version in ("1", "2") for time in (NOON, TODAY) for _ in "xy"
    ]  # fmt: skip
    segment = write(make_settings(), *encoded(records))
    made = write_parts(segment, tmp_path / "parts")
    assert {part.key: part.rows for part in made.parts} == {
        (model, version, day): 2
        for model in ("a", "b") for version in ("1", "2") for day in ("2026-11-20", "2026-11-21")
    }  # fmt: skip
    assert {part.file.name for part in made.parts} == {f"{segment.writer}-00000001.parquet"}
    for part in made.parts:
        assert {(row["model"], row["version"]) for row in rows(part.file)} == {part.key[:2]}
        wanted = [one["id"] for one in records if one["model"] == part.key[0]]
        assert [row["prediction_id"] for row in rows(part.file)] == [
            one for one in wanted if one in {row["prediction_id"] for row in rows(part.file)}
        ]


def test_the_same_segment_gives_the_same_bytes(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings()
    segment = write(settings, *encoded(record(time=NOON + n) for n in range(2000)))
    first, second = (write_parts(segment, tmp_path / name).parts for name in ("one", "two"))
    assert [hashlib.sha256(part.file.read_bytes()).digest() for part in first] == [
        hashlib.sha256(part.file.read_bytes()).digest() for part in second
    ]
    assert first[0].rows == 2000


def test_a_day_ends_at_midnight_utc(make_settings: MakeSettings, tmp_path: Path) -> None:
    midnight = NOON + 43_200
    records = [record(time=midnight - 1e-6), record(time=midnight)]
    made = write_parts(write(make_settings(), *encoded(records)), tmp_path / "parts")
    assert [part.key[2] for part in made.parts] == ["2026-11-20", "2026-11-21"]


def test_of_two_with_one_id_the_first_stays(make_settings: MakeSettings, tmp_path: Path) -> None:
    one = record(time=NOON, caller="first")
    segment = write(make_settings(), *encoded([one, one | {"caller": "second"}, record(time=NOON)]))
    (part,) = write_parts(segment, tmp_path / "parts").parts
    assert [row["caller"] for row in rows(part.file)] == ["first", None]
    assert part.rows == 2


def test_what_fits_no_row_is_set_apart(make_settings: MakeSettings, tmp_path: Path) -> None:
    good = [record(time=NOON + n) for n in range(5)]
    bad = [
        record(time=1e300),
        record(time=NOON, phases={"queue": "long"}),
        record(time=NOON, error={"code": 5}),
        record(time=NOON, error={"code": "a", "message": ["b"]}),
        record(time=NOON, phases={"inference": {}}),
    ]
    mixed = [one for pair in zip(good, bad, strict=True) for one in pair]
    segment = write(make_settings(), b"\xff\xfe no JSON", *encoded(mixed), b'{"id": 3}')
    made = write_parts(segment, tmp_path / "parts")
    (part,) = made.parts
    assert [row["prediction_id"] for row in rows(part.file)] == [one["id"] for one in good]
    refused = {orjson.loads(one.payload)["id"]: one.error for one in made.refused}
    assert set(refused) == {one["id"] for one in bad}
    assert all(refused.values())
    assert made.unreadable == 2


def test_a_model_all_of_whose_records_are_odd(make_settings: MakeSettings, tmp_path: Path) -> None:
    odd = [record(time=NOON, model="odd", phases={"queue": "long"}) for _ in range(3)]
    segment = write(make_settings(), *encoded([*odd, record(time=NOON, model="even")]))
    made = write_parts(segment, tmp_path / "parts")
    assert [(part.key[0], part.rows) for part in made.parts] == [("even", 1)]
    assert len(made.refused) == 3


def test_damage_costs_only_what_it_hit(make_settings: MakeSettings, tmp_path: Path) -> None:
    records = [record(time=NOON + n) for n in range(10)]
    segment = write(make_settings(), *encoded(records))
    data = bytearray(segment.path.read_bytes())
    data[data.index(records[4]["id"].encode())] ^= 0xFF
    segment.path.write_bytes(data + encode(PREDICTION, b"torn" * 100)[:-7])
    (part,) = write_parts(segment, tmp_path / "parts").parts
    assert [row["prediction_id"] for row in rows(part.file)] == [
        one["id"] for number, one in enumerate(records) if number != 4
    ]


def test_a_large_segment_is_read_in_pieces(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings(ledger_segment_bytes=64 * 1024 * 1024)
    records = [record(time=NOON, input="x" * 60_000, model="ab"[n % 2]) for n in range(200)]
    segment = write(settings, *encoded(records))
    assert segment.size > 10 * 1024 * 1024
    parts = write_parts(segment, tmp_path / "parts").parts
    assert sorted(row["prediction_id"] for part in parts for row in rows(part.file)) == sorted(
        one["id"] for one in records
    )
    payloads = payloads_of(segment, ("b", "1", "2026-11-20"))
    assert [orjson.loads(one)["id"] for one in payloads] == [one["id"] for one in records[1::2]]


@pytest.mark.parametrize("count", [0, 3])
def test_records_from_anywhere(count: int, tmp_path: Path) -> None:
    made = write_records(encoded(record(time=NOON) for _ in range(count)), tmp_path, "again")
    assert [part.rows for part in made.parts] == [3][:count]
    assert all(part.file.name == "again.parquet" for part in made.parts)


def test_pandas_reads_a_folder_of_parts(make_settings: MakeSettings, tmp_path: Path) -> None:
    """Parts whose columns are empty throughout still go with the others."""
    first = [record(time=NOON, caller=None, confidence=None, phases=None, output=None)]
    for number, records in enumerate((first, [record(time=NOON, caller="shop")])):
        (part,) = write_records(encoded(records), tmp_path / str(number), "x").parts
        target = tmp_path / "folder" / f"{number}.parquet"
        target.parent.mkdir(exist_ok=True)
        part.file.rename(target)
    table = pd.read_parquet(tmp_path / "folder")
    assert list(table.columns) == SCHEMA.names
    assert str(table["time"].dtype) == "datetime64[us, UTC]"
    assert table["caller"].tolist()[1] == "shop"
