"""What a version shows of itself while it is in memory."""

from services.core.metrics import Metrics
from services.engine.meters import Meters
from services.families.base import ModelInfo

INFO = ModelInfo("m", "1", "tabular", "classification", "cpu", 5)
RUN = "0123456789abcdef0123456789abcdef"


def shown(metrics: Metrics) -> list[str]:
    lines = metrics.exposition().decode().splitlines()
    return [line for line in lines if line.startswith("model_run_info{")]


def test_the_run_that_made_a_version_is_shown_while_it_is_in_memory() -> None:
    metrics = Metrics()
    meters = Meters(metrics, "m", "1", run_id=RUN)
    assert not shown(metrics)
    meters.loaded(INFO, 5)
    assert shown(metrics) == [f'model_run_info{{model="m",run_id="{RUN}",version="1"}} 1.0']
    meters.unloaded()
    assert not shown(metrics)


def test_a_version_that_no_run_made_shows_none() -> None:
    metrics = Metrics()
    meters = Meters(metrics, "m", "1")
    meters.loaded(INFO, 5)
    assert not shown(metrics)
    meters.unloaded()
