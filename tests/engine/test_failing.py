"""`model_load_failing` says how things stand."""

from pathlib import Path

from services.core.metrics import Metrics
from services.engine.failing import Failing
from services.engine.fleet import Fleet
from services.families.base import Artifact
from tests.conftest import MakeSettings
from tests.support.blobs import BlobFamily

LABELS = {"model": "blobs", "version": "1"}


def test_while_it_fails(make_settings: MakeSettings, tmp_path: Path) -> None:
    metrics, family = Metrics(), BlobFamily()
    fleet = Fleet(make_settings(), {family.name: family}, metrics, followed=True)
    metrics.tallies.add(Failing(fleet, metrics))

    def failing() -> float | None:
        return metrics.registry.get_sample_value("model_load_failing", LABELS)

    fleet.add_builtin(Artifact("blobs", "blobs", "1", tmp_path, {}))
    (host,) = fleet.hosts.values()
    assert failing() is None
    assert host.wanted is not None
    fleet.failed(host, host.wanted, OSError("no such weights"))
    assert failing() == 1
    host.failures.clear()
    assert failing() is None
