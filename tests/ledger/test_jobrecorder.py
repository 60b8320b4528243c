"""The recorder of jobs: the same records as the gateway's, given to whoever asks."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.core.metrics import Metrics
from services.core.origin import CALLER, REQUEST_ID
from services.families.base import Picture
from services.ledger import blobs
from services.ledger.jobrecorder import JobRecorder, row
from services.ledger.making import Made
from services.ledger.places import Places
from services.ledger.recorder import Recorder
from services.ledger.records import parse
from tests.conftest import MakeSettings
from tests.ledger.journals import all_payloads

pytestmark = pytest.mark.anyio

_ID = "01938a5c-0000-7000-8000-000000000001"
_PNG = b"\x89PNG" + bytes(range(256)) * 40
_CASES: list[dict[str, Any]] = [
    {},
    {"payload": Picture(_PNG)},
    {"payload": {"inputs": [[0.1] * 1000] * 20}},
    {"output": {"predictions": [0.5] * 50_000}},
    {"status": "failed", "output": None, "error": {"code": "invalid_input", "message": "No."}},
    {"model": "secret", "payload": {"inputs": [{"a": 1, "b": "CANARY"}]}},
    {"model": "digested"},
]


def _made(**values: Any) -> Made:
    known: dict[str, Any] = {
        "id": _ID, "time": 1_763_740_800.25, "seconds": 0.5, "model": "adder", "version": "3",
        "stage": "Production", "mode": "async", "payload": {"inputs": [[1, 2]]},
        "status": "succeeded", "output": {"predictions": [3]}, "confidences": [0.5, 1.0],
    }  # fmt: skip
    return Made(**(known | values))


@pytest.fixture
async def both(make_settings: MakeSettings) -> AsyncIterator[tuple[JobRecorder, Recorder]]:
    settings = make_settings(
        ledger_redact="secret.b", ledger_inputs_by_model={"digested": "digest"}
    )
    recorders = JobRecorder(settings, Metrics()), Recorder(settings, Metrics())
    for one in recorders:
        one.open()
    yield recorders
    for one in recorders:
        one.close()


@pytest.mark.parametrize("values", _CASES)
async def test_it_writes_what_the_gateway_would(
    both: tuple[JobRecorder, Recorder], tmp_path: Path, values: dict[str, Any]
) -> None:
    jobs, gateway = both
    tokens = REQUEST_ID.set("request-7"), CALLER.set("somebody")
    try:
        assert jobs.record(_made(**values)) is None, "an answer need not wait"
        left = gateway.record(_made(**values))
    finally:
        REQUEST_ID.reset(tokens[0])
        CALLER.reset(tokens[1])
    if left is not None:
        await left
    payload = jobs.pop(_ID)
    assert [payload] == all_payloads(tmp_path)
    assert payload is not None
    record = parse(payload)
    assert (record.request_id, record.caller) == ("request-7", "somebody")
    assert b"CANARY" not in payload
    for ref in filter(None, (record.input_ref, record.output_ref)):
        assert blobs.path(Places(tmp_path), ref).exists()


async def test_a_record_is_given_once(both: tuple[JobRecorder, Recorder]) -> None:
    jobs, _ = both
    jobs.record(_made())
    assert await asyncio.to_thread(jobs.pop, _ID) is not None
    assert jobs.pop(_ID) is None


async def test_what_is_given_up_can_be_asked_for_at_once(
    both: tuple[JobRecorder, Recorder],
) -> None:
    jobs, _ = both
    jobs.leave(_made(payload=Picture(_PNG), status="canceled", output=None))
    payload = jobs.pop(_ID)
    assert payload is not None
    assert parse(payload).status == "canceled"


async def test_it_refuses_nothing(make_settings: MakeSettings) -> None:
    jobs = JobRecorder(make_settings(ledger_max_bytes=64 * 1024), Metrics())
    for number in range(200):
        jobs.check()
        jobs.record(_made(id=str(number), payload={"inputs": ["x" * 1000]}))
    assert all(jobs.pop(str(number)) for number in range(200))


async def test_a_row_for_the_table() -> None:
    payload = (
        b'{"v":1,"id":"%s","time":1763740800.25,"seconds":0.5,"model":"m","version":"1",'
        b'"mode":"async","status":"succeeded"}' % _ID.encode()
    )
    assert row(payload, "job-1") == (_ID, 1_763_740_800_250_000, "job-1", payload)
