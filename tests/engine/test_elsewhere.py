"""Models that other processes predict with: known, described, followed, and never loaded."""

from collections.abc import AsyncIterator

import pytest

from services.core.errors import ModelUnavailableError, NotFoundError
from services.core.metrics import Metrics
from services.engine.engine import Engine
from services.engine.messages import PredictRequest
from services.engine.status import WORKERS, State
from services.registry.catalogue import Stage
from tests.conftest import MakeSettings
from tests.support.number_family import NumberFamily, Shelves
from tests.support.numbers import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Shelves:
    made = Shelves(tmp_path_factory.mktemp("shelves"))
    for version in ("1", "2"):
        made.add(version, "adder")
    return made


@pytest.fixture
async def engine(make_settings: MakeSettings, shelves: Shelves) -> AsyncIterator[Engine]:
    """An engine without any model of its own."""
    made = Engine(
        make_settings(shutdown_grace=5),
        {"numbers": NumberFamily()},
        Metrics(),
        shelves,
        elsewhere=lambda name: True,
    )
    made.start()
    yield made
    await made.close()


def asked(**options: object) -> PredictRequest:
    return PredictRequest("adder", None, **options)  # type: ignore[arg-type]


async def test_a_promotion_is_followed_without_a_load(engine: Engine, shelves: Shelves) -> None:
    engine.follow(shelves.promote("1"))
    await until(lambda: engine.not_ready() is None)
    (status,) = engine.statuses()
    assert (status.placement, status.state, status.serving) == (WORKERS, State.READY, "1")
    assert (await engine.elsewhere.find(asked())).version == "1"
    engine.follow(shelves.promote("2"))
    assert engine.statuses()[0].serving == "2"
    assert (await engine.elsewhere.find(asked())).version == "2"
    assert (await engine.elsewhere.find(asked(version="1"))).version == "1"
    described = await engine.opened(asked(version="1"))
    assert (described.info.name, described.info.version) == ("adder", "1")
    assert described.info.family == "numbers"
    assert described is await engine.opened(asked(version="1"))
    with pytest.raises(ModelUnavailableError):
        described.infer([])
    assert engine.model("adder") is None
    assert engine.in_memory("adder", "1") is None
    assert [entry.state for entry in engine.index()] == [State.READY]
    assert engine.statuses()[0].versions == ()


async def test_what_there_is_not(engine: Engine, shelves: Shelves) -> None:
    with pytest.raises(ModelUnavailableError, match="not known yet"):
        await engine.elsewhere.find(asked())
    engine.follow(shelves.promote("1"))
    await until(lambda: engine.not_ready() is None)
    for wrong in (asked(version="9"), asked(stage=Stage.STAGING), PredictRequest("nobody", None)):
        with pytest.raises(NotFoundError):
            await engine.elsewhere.find(wrong)
    engine.follow(shelves.promote(None))
    with pytest.raises(ModelUnavailableError, match="in production"):
        await engine.elsewhere.find(asked())
