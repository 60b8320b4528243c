"""The recorder: what a prediction leaves behind, whatever went in and came out."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from services.core.errors import LedgerFullError
from services.core.metrics import Metrics
from services.core.origin import REQUEST_ID
from services.families.base import Picture
from services.ledger import blobs
from services.ledger.making import Made
from services.ledger.places import Places
from services.ledger.recorder import Recorder
from services.ledger.records import Record, day, parse, trace_id
from tests.conftest import MakeSettings
from tests.ledger.journals import all_payloads
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.anyio

_PNG = b"\x89PNG" + bytes(range(256)) * 40


@dataclass(frozen=True)
class _Drawn:
    """An output like the segmenter's."""

    size: tuple[int, int]
    image: bytes | None


def _made(**values: Any) -> Made:
    known: dict[str, Any] = {
        "id": "01938a5c-0000-7000-8000-000000000001",
        "time": 1_763_740_800.25,
        "seconds": 0.5,
        "model": "adder",
        "version": "3",
        "stage": "Production",
        "mode": "sync",
        "payload": {"inputs": [[1, 2]]},
        "status": "succeeded",
        "output": {"predictions": [3]},
        "confidences": [0.5, 1.0],
    }
    return Made(**(known | values))


class _Desk:
    """A recorder, and what it has written."""

    def __init__(self, recorder: Recorder, data_dir: Path, metrics: Metrics) -> None:
        self.recorder = recorder
        self.data_dir = data_dir
        self.metrics = metrics

    async def write(self, made: Made) -> Record:
        left: Awaitable[None] | None = self.recorder.record(made)
        if left is not None:
            await left
        return parse(all_payloads(self.data_dir)[-1])


MakeDesk = Any


@pytest.fixture
async def make_desk(make_settings: MakeSettings, tmp_path: Path) -> AsyncIterator[MakeDesk]:
    opened: list[Recorder] = []

    def make(**settings: Any) -> _Desk:
        metrics = Metrics()
        recorder = Recorder(make_settings(**settings), metrics)
        recorder.open()
        opened.append(recorder)
        return _Desk(recorder, tmp_path, metrics)

    yield make
    for recorder in opened:
        recorder.close()


async def test_a_plain_prediction(make_desk: MakeDesk) -> None:
    token = REQUEST_ID.set("request-7")
    try:
        found = await make_desk().write(_made(phases={"queue": 0.1}))
    finally:
        REQUEST_ID.reset(token)
    assert found.id == "01938a5c-0000-7000-8000-000000000001"
    assert found.request_id == "request-7"
    assert found.input == {"inputs": [[1, 2]]}
    assert found.output == {"predictions": [3]}
    assert found.confidence == 0.75
    assert found.phases == {"queue": 0.1}
    assert (found.input_ref, found.input_digest, found.error) == (None, None, None)
    assert day(found) == "2025-11-21"
    assert trace_id(found.id) == "tr-01938a5c000070008000000000000001"


async def test_a_plain_prediction_needs_no_waiting(make_desk: MakeDesk) -> None:
    assert make_desk().recorder.record(_made()) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (np.array([1.5, np.nan]), [1.5, None]),
        (np.array(["a", None], dtype=object), ["a", None]),
        (np.float32(0.5), 0.5),
        (b"\xff\xfe", "//4="),
        ("half a pair \ud800", "half a pair ?"),
        (2**70, str(2**70)),
        ({1: "one"}, {"1": "one"}),
        ({"\udfff": 1}, {"?": 1}),
        ((1, 2), [1, 2]),
        (object(), "<object>"),
    ],
)
async def test_values_that_json_has_no_word_for(
    make_desk: MakeDesk, value: Any, expected: Any
) -> None:
    found = await make_desk().write(_made(payload={"inputs": value}, output={"out": value}))
    assert found.input == {"inputs": expected}
    assert found.output == {"out": expected}


async def test_a_value_nested_without_end_is_cut(make_desk: MakeDesk) -> None:
    value: Any = 1
    for _ in range(2000):
        value = [value]
    found = await make_desk().write(_made(payload={"inputs": value}))
    assert b"nested too deeply" in found.raw


async def test_a_picture_is_kept_by_reference(make_desk: MakeDesk, tmp_path: Path) -> None:
    found = await make_desk().write(_made(payload=Picture(_PNG)))
    digest = hashlib.sha256(_PNG).hexdigest()
    assert found.input == {"bytes": len(_PNG), "kind": "png"}
    assert found.input_digest == f"sha256:{digest}"
    assert found.input_ref == f"{digest}.png"
    assert blobs.path(Places(tmp_path), found.input_ref).read_bytes() == _PNG


async def test_a_large_input_is_kept_beside_the_journal(
    make_desk: MakeDesk, tmp_path: Path
) -> None:
    payload = {"inputs": [[0.123456789] * 1000] * 500}
    found = await make_desk().write(_made(payload=payload))
    assert found.input is None
    assert found.input_ref is not None
    kept = blobs.path(Places(tmp_path), found.input_ref).read_bytes()
    assert len(kept) > 5_000_000
    assert orjson.loads(kept) == payload
    assert found.input_digest == f"sha256:{hashlib.sha256(kept).hexdigest()}"
    assert found.output == {"predictions": [3]}


async def test_a_large_output_too(make_desk: MakeDesk, tmp_path: Path) -> None:
    found = await make_desk().write(_made(output={"predictions": [0.5] * 50_000}))
    assert found.output is None
    assert found.input == {"inputs": [[1, 2]]}
    assert found.output_ref is not None
    kept = orjson.loads(blobs.path(Places(tmp_path), found.output_ref).read_bytes())
    assert len(kept["predictions"]) == 50_000


@pytest.mark.parametrize("payload", [{"inputs": [[1, 2]]}, Picture(_PNG)])
async def test_inputs_can_be_digested_or_left_out(make_desk: MakeDesk, payload: Any) -> None:
    desk = make_desk(ledger_inputs="none", ledger_inputs_by_model={"digested": "digest"})
    found = await desk.write(_made(payload=payload, model="digested"))
    assert found.input_digest is not None
    assert found.input_digest.startswith("sha256:")
    assert found.input_ref is None
    assert not found.input or set(found.input) == {"bytes", "kind"}
    found = await desk.write(_made(payload=payload))
    assert (found.input, found.input_digest, found.input_ref) == (None, None, None)


async def test_hidden_fields_reach_no_file(make_desk: MakeDesk, tmp_path: Path) -> None:
    desk = make_desk(ledger_redact="adder.secret", ledger_inline_bytes=1024)
    for rows in (1, 200):
        payload = {"inputs": [{"open": 1, "secret": "CANARY"}] * rows}
        await desk.write(_made(payload=payload))
    files = [path for path in Places(tmp_path).root.rglob("*") if path.is_file()]
    assert any(b"open" in path.read_bytes() for path in files if path.suffix == ".json")
    assert not any(b"CANARY" in path.read_bytes() for path in files)


async def test_a_digest_does_not_tell_hidden_fields(make_desk: MakeDesk) -> None:
    desk = make_desk(ledger_redact="adder.secret", ledger_inputs="digest")
    found = [await desk.write(_made(payload={"inputs": [{"secret": n}]})) for n in (1, 2)]
    assert found[0].input_digest == found[1].input_digest


async def test_drawn_pictures_are_kept_when_asked_for(make_desk: MakeDesk, tmp_path: Path) -> None:
    output = _Drawn((4, 5), b"\xff\xd8\xff" + b"x" * 9000)
    found = await make_desk(ledger_annotated="cutler").write(_made(model="cutler", output=output))
    assert found.annotated is not None
    assert blobs.path(Places(tmp_path), found.annotated).read_bytes() == output.image
    assert found.output["size"] == [4, 5]
    assert set(found.output["image"]) == {"bytes", "sha256"}
    plain = await make_desk().write(_made(model="cutler", output=output))
    assert plain.annotated is None


async def test_without_room_it_refuses(make_desk: MakeDesk) -> None:
    desk = make_desk(ledger_max_bytes=64 * 1024)
    written = 0
    while written < 500:
        try:
            desk.recorder.check()
        except LedgerFullError:
            break
        desk.recorder.record(_made())
        written += 1
    assert 100 < written < 500
    with pytest.raises(LedgerFullError):
        desk.recorder.record(_made())


async def test_or_drops_and_counts(make_desk: MakeDesk, tmp_path: Path) -> None:
    desk = make_desk(ledger_max_bytes=64 * 1024, ledger_when_full="drop")
    for _ in range(500):
        desk.recorder.check()
        desk.recorder.record(_made())
    dropped = desk.metrics.registry.get_sample_value("ledger_dropped_total", {"reason": "full"})
    assert dropped
    assert dropped + len(all_payloads(tmp_path)) == 500


async def test_strict_answers_wait(make_desk: MakeDesk) -> None:
    desk = make_desk(ledger_durability="strict")
    left = desk.recorder.record(_made())
    assert left is not None
    await asyncio.wait_for(left, PATIENCE)


async def test_what_nobody_waits_for_is_written_all_the_same(
    make_desk: MakeDesk, tmp_path: Path
) -> None:
    desk = make_desk()
    desk.recorder.leave(_made(payload=Picture(_PNG), status="canceled", output=None))
    async with asyncio.timeout(PATIENCE):
        while not all_payloads(tmp_path):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert parse(all_payloads(tmp_path)[0]).status == "canceled"
