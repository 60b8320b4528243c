"""Parquet from strangers: what is damaged is refused, and what unpacks hugely stays packed."""

import io
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from services.core.errors import InvalidInputError, PayloadTooLargeError
from services.core.signature import Field, Signature
from services.gateway.errors import MalformedRequestError
from services.gateway.tables.parquet_body import read
from services.gateway.tables.parquet_pages import pages

ROWS, BYTES = 10_000, 1_000_000
MANY = 5_000_000


def written(table: "pa.Table", **options: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(table, file, compression="zstd", **options)
    return file.getvalue()


def repeated(text: str, times: int) -> "pa.DictionaryArray":
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(times, np.int32)), [text])


def a_long_list() -> bytes:
    offsets = pa.array([0, MANY], pa.int32())
    return written(pa.table({"x": pa.ListArray.from_arrays(offsets, pa.array(np.zeros(MANY)))}))


def lied(raw: bytes, said: int, instead: int) -> bytes:
    """Change a number in the footer; Thrift's numbers may be written longer than they are."""
    end = len(raw) - 8
    start = end - int.from_bytes(raw[end : end + 4], "little")
    old = number(said)
    new = number(instead, len(old))
    assert old in raw[start:end]
    return raw[:start] + raw[start:end].replace(old, new) + raw[end:]


def number(value: int, length: int = 0) -> bytes:
    found, left = bytearray(), value << 1
    while left or len(found) < length:
        found.append(left & 127 | 128)
        left >>= 7
    found[-1] &= 127
    return bytes(found)


HUGE: dict[str, Callable[[], bytes]] = {
    "rows": lambda: written(pa.table({"x": np.zeros(ROWS + 1)})),
    "numbers": lambda: written(pa.table({f"x{i}": np.zeros(ROWS) for i in range(20)})),
    "one long list": a_long_list,
    "one long list, and a footer that hides it": lambda: lied(a_long_list(), MANY, 1),
    "one text many times": lambda: written(
        pa.table({"x": repeated("x" * 10_000, 5000)}), store_schema=False
    ),
    "one text many times in lists": lambda: written(
        pa.table(
            {"x": pa.ListArray.from_arrays(pa.array(range(5001), pa.int32()),
                                           repeated("x" * 100_000, 5000))}
        ),
        store_schema=False,
    ),
    "texts that begin alike": lambda: written(
        pa.table({"x": ["x" * 50_000 + str(i) for i in range(2000)]}),
        use_dictionary=False, column_encoding={"x": "DELTA_BYTE_ARRAY"},
    ),
    "texts of a fixed width": lambda: written(
        pa.table({"x": pa.array([b"x" * 10_000] * 2000, pa.binary(10_000))})
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HUGE)
def test_what_is_huge_is_refused_before_it_is_unpacked(kind: str) -> None:
    raw = HUGE[kind]()
    before = pa.total_allocated_bytes()
    pool = pa.default_memory_pool()
    highest = pool.max_memory()
    with pytest.raises(PayloadTooLargeError):
        read(raw, None, ROWS, BYTES)
    # The writing above took more than this; the reading must not go beyond it.
    assert pool.max_memory() <= max(highest, before + 8 * BYTES)


def test_parts_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.tables.parquet_body._PARTS", 100)
    raw = written(pa.table({f"x{i}": np.zeros(11) for i in range(10)}), row_group_size=1)
    with pytest.raises(PayloadTooLargeError):
        read(raw, None, ROWS, BYTES)
    few = written(pa.table({"x": np.zeros(101)}), row_group_size=101, use_dictionary=False,
                  data_page_size=1, write_batch_size=1)  # fmt: skip
    with pytest.raises(PayloadTooLargeError):
        read(few, None, ROWS, BYTES)


def test_what_is_within_the_limits_is_read() -> None:
    words = [f"word {i % 7}" for i in range(ROWS)]
    table = pd.DataFrame(
        {"x": np.arange(ROWS), "w": words, "l": [[w, w] for w in words[:5000]] * 2}
    )
    given = read(table.to_parquet() or b"", None, ROWS, 10 * BYTES)
    assert given.inputs == {name: table[name].tolist() for name in table.columns}


def test_only_the_columns_that_count_are_read() -> None:
    """A column of a type that has no JSON is no hindrance where nobody asks for it."""
    file = written(pa.table({"x": [1.0, float("nan")], "t": pa.array([1, 2], pa.duration("s"))}))
    given = read(file, Signature((Field("x", "double"),)), ROWS, BYTES)
    assert given.inputs == {"x": [1.0, None]}
    with pytest.raises(InvalidInputError, match="type that has no JSON"):
        read(file, None, ROWS, BYTES)


def test_types_of_all_kinds() -> None:
    table = pa.table(
        {
            "day": pa.array([19_844], pa.date32()),
            "moment": pa.array([1_714_566_600_123_456_789], pa.timestamp("ns", "UTC")),
            "price": pa.array(["1.50"]).cast(pa.decimal128(5, 2)),
            "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
            "deep": [[{"b": b"hi", "n": None}]],
            "word": pa.array(["a"]).dictionary_encode(),
            "flag": [True],
            "big": pa.array([2**64 - 1], pa.uint64()),
        }
    )
    given = read(written(table), None, ROWS, BYTES)
    assert given.inputs == {
        "day": ["2024-05-01"],
        "moment": ["2024-05-01T12:30:00.123456+00:00"],
        "price": [1.5],
        "map": [{"a": 1}],
        "deep": [[{"b": "aGk=", "n": None}]],
        "word": ["a"],
        "flag": [True],
        "big": [2**64 - 1],
    }


def test_damaged_files_are_told_from_large_ones() -> None:
    frame = pd.DataFrame({"x": np.arange(50.0), "w": list("abcde") * 10, "l": [[1, 2]] * 50})
    raw = frame.to_parquet()
    assert raw is not None
    draw = random.Random(0)
    refused = 0
    for _ in range(400):
        damaged = bytearray(raw)
        for _ in range(draw.randint(1, 8)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        cut = draw.choice([len(damaged), draw.randrange(len(damaged))])
        try:
            read(bytes(damaged[:cut]), None, ROWS, BYTES)
        except (MalformedRequestError, PayloadTooLargeError):
            refused += 1
    assert refused > 200


@pytest.mark.parametrize(
    "raw",
    [
        b"PAR1" + b"\xff" * 20,
        b"PAR1" + b"\x15\x00\x15\x02",
        b"PAR1" + b"\x15\x00\x15\x02\x15\x02\x00xxxx",
        b"PAR1" + b"\x1c" * 20,
        b"PAR1" + b"\x19\x00\x00",
    ],
)
def test_heads_that_are_none(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(a|structs) "):
        list(pages(raw, 4, len(raw)))


def test_a_column_outside_of_the_file() -> None:
    with pytest.raises(ValueError, match="outside"):
        list(pages(b"PAR1", 4, 100))
