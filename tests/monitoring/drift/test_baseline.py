import io
from typing import Any

import numpy as np
import orjson
import pytest

from services.core.errors import CheckpointError, InvalidInputError
from services.monitoring.drift.baseline import Baseline
from services.monitoring.drift.compare import compare
from services.monitoring.drift.samples import Sample


class Danger:
    """Would run code where pickles are loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle was loaded",)


def samples(count: int = 120, seed: int = 0) -> list[Sample]:
    generator = np.random.default_rng(seed)
    words = [f"word{number}" for number in range(60)]
    return [
        Sample(
            {
                "number": float(generator.normal()),
                "category": str(generator.choice(["a", "b"])),
                "text": " ".join(generator.choice(words, 6).tolist()),
                "array": generator.normal(size=784).astype(np.float32),
                "sparse": 1.0 if number < 5 else None,
            },
            "yes",
            0.5,
        )
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return Baseline.fit(samples(), fields=["number", "category", "text", "array", "sparse"])


def test_it_is_the_same_after_it_was_stored(baseline: Baseline) -> None:
    stored = Baseline.from_bytes(baseline.to_bytes())
    assert stored.to_bytes() == baseline.to_bytes()
    assert stored.fields == ("number", "category", "text", "array", "sparse")
    assert (stored.rows, stored.created) == (120, baseline.created)
    assert stored.features == baseline.features
    assert {one.kind for one in stored.watched.values()} == {"number", "category", "text", "array"}
    assert compare(stored, samples(100, 1)) == compare(baseline, samples(100, 1))
    assert compare(stored, samples(100, 1)).verdict == "ok"


def test_the_same_samples_give_the_same_baseline(baseline: Baseline) -> None:
    again = Baseline.fit(samples(), fields=baseline.fields)
    assert compare(again, samples(100, 1)) == compare(baseline, samples(100, 1))


def test_few_rows_are_none() -> None:
    with pytest.raises(InvalidInputError) as caught:
        Baseline.fit([*samples(49), *[Sample({})] * 100])
    assert caught.value.where == "samples"
    assert caught.value.received == "49 rows"


def test_its_size_is_bounded() -> None:
    generator = np.random.default_rng(0)
    wide = [
        Sample({
            **{f"n{place}": float(generator.normal()) for place in range(200)},
            **{f"c{place}": f"{generator.integers(10**6)}-{'ö' * 70}" for place in range(120)},
        })
        for _ in range(300)
    ]  # fmt: skip
    baseline = Baseline.fit(wide)
    assert len(baseline.watched) == 256
    assert len(baseline.skipped) == 64
    assert len(baseline.to_bytes()) <= 1_000_000


def test_more_texts_than_there_is_room_for_are_named() -> None:
    many = [
        Sample({f"t{place}": sample.features["text"] for place in range(5)}) for sample in samples()
    ]
    baseline = Baseline.fit(many)
    assert baseline.skipped == ("t3", "t4")
    assert len(baseline.to_bytes()) <= 1_000_000


@pytest.mark.parametrize("payload", [b"", b"nothing", b"PK\x03\x04", b"{}" * 5_000_000])
def test_what_is_no_baseline(payload: bytes) -> None:
    with pytest.raises(CheckpointError) as caught:
        Baseline.from_bytes(payload)
    assert caught.value.where == "drift baseline"


def test_any_damage_is_noticed(baseline: Baseline) -> None:
    """Cut off anywhere, and one byte changed in 40 places: refused, or what it was."""
    payload = baseline.to_bytes()
    for share in range(1, 10):
        with pytest.raises(CheckpointError):
            Baseline.from_bytes(payload[: len(payload) * share // 10])
    generator = np.random.default_rng(0)
    refused = 0
    for place in generator.integers(0, len(payload), 40).tolist():
        damaged = bytearray(payload)
        damaged[place] ^= 0xFF
        try:
            assert Baseline.from_bytes(bytes(damaged)).features == baseline.features
        except CheckpointError:
            refused += 1
    assert refused > 30


def changed(payload: bytes, name: str, value: Any) -> bytes:
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    assert name in arrays
    arrays[name] = np.array(value)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


def test_pickles_are_refused_and_not_run(baseline: Baseline) -> None:
    payload = changed(baseline.to_bytes(), "head", np.array([Danger()], object))
    with pytest.raises(CheckpointError):
        Baseline.from_bytes(payload)


def test_another_version_and_other_contents_are_refused(baseline: Baseline) -> None:
    payload = baseline.to_bytes()
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        head = orjson.loads(archive["head"].tobytes())
    numbers = next(p for p, e in enumerate(head["groups"]["watched"]) if e["name"] == "number")

    def with_head(**other: Any) -> bytes:
        text = orjson.dumps({**head, **other})
        return changed(payload, "head", np.frombuffer(text, np.uint8))

    with pytest.raises(CheckpointError, match="version 2"):
        Baseline.from_bytes(with_head(version=2))
    for odd in (
        with_head(groups={}),
        with_head(rows="many"),
        with_head(fields=None),
        changed(payload, f"watched/{numbers}/counts", [1, 2]),
        changed(payload, f"watched/{numbers}/reference", [np.nan] * 4),
    ):
        with pytest.raises(CheckpointError):
            Baseline.from_bytes(odd)
