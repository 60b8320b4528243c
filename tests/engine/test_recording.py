"""Every prediction that a version took on is in the journal before its answer is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from services.core.errors import (
    InvalidInputError,
    LedgerFullError,
    NotFoundError,
    OverloadedError,
    PredictionFailedError,
    SlipwayError,
)
from services.core.ids import new_id
from services.core.metrics import Metrics
from services.engine.engine import Engine
from services.engine.messages import PredictRequest
from services.engine.status import State
from services.ledger.jobrecorder import JobRecorder
from services.ledger.making import Making
from services.ledger.places import Places
from services.ledger.recorder import Recorder
from services.ledger.records import Record, parse
from tests.conftest import MakeSettings
from tests.engine.conftest import Gate, state
from tests.ledger.journals import all_payloads
from tests.support.number_family import NumberFamily, Shelves
from tests.support.numbers import Numbers, until

pytestmark = pytest.mark.anyio

MakeRecorded = Callable[..., Any]
# This model breaks on it.
_BROKEN = {"features": [float("inf")]}


class Recorded(Numbers):
    """An engine of numbers whose predictions are recorded."""

    data_dir: Path
    recorder: Any

    def records(self) -> list[Record]:
        return [parse(payload) for payload in all_payloads(self.data_dir)]


@pytest.fixture
async def make(
    make_settings: MakeSettings, metrics: Metrics, shelves: Shelves, tmp_path: Path
) -> AsyncIterator[MakeRecorded]:
    engines = []

    async def make(
        version: dict[str, Any] | None = None,
        kind: Callable[..., Making] = Recorder,
        **settings: Any,
    ) -> Recorded:
        family = NumberFamily()
        made = make_settings(**{"shutdown_grace": 5, "cache": "off", **settings})
        recorder = kind(made, metrics)
        engine = Engine(made, {"numbers": family}, metrics, shelves, recorder)
        engines.append(engine)
        engine.start()
        numbers = Recorded(engine, family, shelves)
        numbers.data_dir, numbers.recorder = tmp_path, recorder
        shelves.add("2", **(version or {}))
        await numbers.promote("2")
        await until(lambda: state(engine, "adder") is State.READY)
        return numbers

    yield make
    for engine in engines:
        await engine.close()


def _ask(*values: float, **options: Any) -> PredictRequest:
    return PredictRequest("adder", {"features": list(values)}, **options)


async def test_an_answer_is_on_record_when_it_is_given(make: MakeRecorded) -> None:
    numbers = await make()
    result = await numbers.engine.predict(_ask(1, 2, mode="batch"))
    (found,) = numbers.records()
    assert found.id == result.id
    assert (found.model, found.version, found.stage) == ("adder", "2", "Production")
    assert (found.status, found.mode, found.error) == ("succeeded", "batch", None)
    assert found.input == {"features": [1, 2]}
    assert found.output == {"version": "2", "values": [6.0]}
    assert found.phases is not None
    assert sum(found.phases.values()) <= found.seconds
    assert list(found.phases) == ["queue", "preprocess", "inference", "postprocess"]


async def test_a_slow_model_too(make: MakeRecorded) -> None:
    numbers = await make({"seconds": 0.02})
    await asyncio.gather(*(numbers.engine.predict(_ask(n)) for n in range(5)))
    assert sorted(one.input["features"][0] for one in numbers.records()) == [0, 1, 2, 3, 4]


async def test_a_cached_answer_says_so(make: MakeRecorded) -> None:
    numbers = await make({"cached": True, "seconds": 0.02}, cache="memory")
    for _ in range(2):
        await numbers.engine.predict(_ask(1))
    assert [one.cached for one in numbers.records()] == [False, True]


async def test_a_refused_input(make: MakeRecorded) -> None:
    numbers = await make()
    with pytest.raises(InvalidInputError):
        await numbers.engine.predict(PredictRequest("adder", {"features": ["CANARY"]}))
    (found,) = numbers.records()
    assert found.status == "failed"
    assert found.error == {
        "code": "invalid_input",
        "message": "Not numbers.",
        "where": "features",
        "expected": None,
        "phase": "preprocess",
    }
    assert (found.output, found.phases) == (None, None)


async def test_a_model_that_breaks(make: MakeRecorded) -> None:
    numbers = await make()
    with pytest.raises(PredictionFailedError) as raised:
        await numbers.engine.predict(_ask(float("inf")))
    (found,) = numbers.records()
    assert raised.value.prediction_id == found.id
    assert found.error is not None
    assert (found.error["code"], found.error["phase"]) == ("prediction_failed", "inference")
    assert b"poison" not in found.raw


async def test_a_caller_who_leaves(make: MakeRecorded) -> None:
    numbers = await make({"seconds": 0.02})
    gate = Gate()
    numbers.family.hooks.infer = gate
    asked = asyncio.create_task(numbers.engine.predict(_ask(1)))
    await gate.wait_until_reached()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    gate.open.set()
    (found,) = numbers.records()
    assert found.status == "canceled"
    assert found.error is not None
    assert found.error["code"] == "client_gone"


async def test_a_deadline(make: MakeRecorded) -> None:
    numbers = await make({"seconds": 0.02})
    gate = Gate()
    numbers.family.hooks.infer = gate
    with pytest.raises(SlipwayError):
        await numbers.engine.predict(_ask(1, timeout=0.1))
    gate.open.set()
    (found,) = numbers.records()
    assert found.error is not None
    assert found.error["code"] == "deadline_exceeded"


async def test_what_never_began_leaves_nothing(make: MakeRecorded) -> None:
    numbers = await make({"seconds": 0.02, "max_batch": 1}, max_queue=0)
    with pytest.raises(NotFoundError):
        await numbers.engine.predict(PredictRequest("nobody", {}))
    gate = Gate()
    numbers.family.hooks.infer = gate
    asked = [asyncio.create_task(numbers.engine.predict(_ask(n))) for n in range(20)]
    await gate.wait_until_reached()
    gate.open.set()
    results = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in results if isinstance(one, OverloadedError)]
    assert 0 < len(refused) < 20
    assert len(numbers.records()) == 20 - len(refused)
    assert {one.status for one in numbers.records()} == {"succeeded"}


async def test_without_room_nothing_is_predicted(make: MakeRecorded, metrics: Metrics) -> None:
    numbers = await make(ledger_max_bytes=64 * 1024)
    answered = 0
    while answered < 1000:
        try:
            await numbers.engine.predict(_ask(1))
        except LedgerFullError:
            break
        answered += 1
    assert 50 < answered < 1000
    assert len(numbers.records()) == answered
    batches = len(numbers.family.hooks.batches)
    with pytest.raises(LedgerFullError):
        await numbers.engine.predict(_ask(1))
    assert len(numbers.family.hooks.batches) == batches
    refused = metrics.registry.get_sample_value(
        "requests_rejected_total", {"reason": "ledger_full"}
    )
    assert refused == 2


async def test_strict_answers_are_on_record_too(make: MakeRecorded) -> None:
    numbers = await make(ledger_durability="strict")
    results = await asyncio.gather(*(numbers.engine.predict(_ask(n)) for n in range(20)))
    assert {one.id for one in results} == {one.id for one in numbers.records()}


async def test_an_engine_that_closes_seals_its_journal(make: MakeRecorded, tmp_path: Path) -> None:
    numbers = await make()
    await numbers.engine.predict(_ask(1))
    await numbers.engine.close()
    (folder,) = Places(tmp_path).journal.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["00000001.log", "lock"]


async def test_a_job_is_given_the_record_under_its_own_id(make: MakeRecorded) -> None:
    numbers = await make(kind=JobRecorder)
    wanted = new_id()
    result = await numbers.engine.predict(_ask(1, 2, mode="async", id=wanted))
    assert result.id == wanted
    found = parse(numbers.recorder.pop(wanted))
    assert (found.id, found.mode, found.status) == (wanted, "async", "succeeded")
    assert numbers.recorder.pop(wanted) is None
    assert not all_payloads(numbers.data_dir), "it stands in no journal yet"


async def test_a_job_that_fails_too(make: MakeRecorded) -> None:
    numbers = await make(kind=JobRecorder)
    for payload, code in (({"features": ["x"]}, "invalid_input"), (_BROKEN, "prediction_failed")):
        wanted = new_id()
        with pytest.raises(SlipwayError):
            await numbers.engine.predict(PredictRequest("adder", payload, id=wanted))
        found = parse(numbers.recorder.pop(wanted))
        assert found.error is not None
        assert (found.status, found.error["code"]) == ("failed", code)
    unknown = new_id()
    with pytest.raises(NotFoundError):
        await numbers.engine.predict(PredictRequest("nobody", {}, id=unknown))
    assert numbers.recorder.pop(unknown) is None


async def test_a_job_that_is_canceled_too(make: MakeRecorded) -> None:
    numbers = await make({"seconds": 0.02}, kind=JobRecorder)
    gate = Gate()
    numbers.family.hooks.infer = gate
    wanted = new_id()
    asked = asyncio.create_task(numbers.engine.predict(_ask(1, id=wanted)))
    await gate.wait_until_reached()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    gate.open.set()
    assert parse(numbers.recorder.pop(wanted)).status == "canceled"
