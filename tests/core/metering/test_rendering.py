"""Our text is the library's, to the byte."""

import math

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from services.core.metering.rendering import Renderer
from services.core.metering.vitals import Vitals
from services.core.metrics import Metrics


def test_it_is_what_the_library_writes() -> None:
    metrics = Metrics()
    Vitals("gateway", metrics.own)
    for number in (0, 1, 0.1, 999_999, 1e6, 1234567.25, 1e21, 1e-9, math.inf):
        metrics.model_memory.labels("m", f"{number}").set(number)
    metrics.model_memory.labels("negative", "1").set(-1e9)
    metrics.prediction_errors.labels('quo"te', "back\\slash\nline").inc()
    metrics.prediction_duration.labels("ü", "2", "queue").observe(0.2)
    families = list(metrics.registry.collect())

    class Frozen:
        def collect(self) -> object:
            return families

    renderer = Renderer()
    for _ in range(2):
        ours = renderer.text(families)
        assert ours == generate_latest(Frozen())  # type: ignore[arg-type]
    assert len(list(text_string_to_metric_families(ours.decode()))) == len(families)
