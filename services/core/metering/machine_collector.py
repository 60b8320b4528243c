"""What there is here, asked at each scrape: memory, disk, graphics processors, our version."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services import __version__
from services.core.machine import memory_available, memory_limit
from services.core.metering.definition import Definition
from services.core.metering.gpu import Gpus
from services.core.settings import Settings

_DATA = "data"
_SYSTEM, _NVIDIA = "the system, at each scrape", "NVIDIA's library, at each scrape; where it is"

BUILD = Definition("build_info", "gauge", "1, by Slipway's version.", ("version",), "code", "1")
MEMORY_LIMIT = Definition(
    "memory_limit_bytes",
    "gauge",
    "Memory that there is: the container's limit, or the machine's.",
    source=_SYSTEM,
)
MEMORY_AVAILABLE = Definition(
    "memory_available_bytes",
    "gauge",
    "Memory of the container or the machine that is left.",
    source=_SYSTEM,
)
MEMORY_BUDGET = Definition(
    "model_memory_budget_bytes",
    "gauge",
    "MEMORY_BUDGET, which holds for each process; not there where it is not set.",
    source="settings",
)
DISK_FREE = Definition(
    "disk_free_bytes", "gauge", "Room left on the disk of a folder: DATA_DIR.", ("folder",), _SYSTEM
)
DISK_SIZE = Definition(
    "disk_size_bytes", "gauge", "Size of the disk of a folder: DATA_DIR.", ("folder",), _SYSTEM
)
GPU_USED = Definition(
    "gpu_memory_used_bytes",
    "gauge",
    "Memory of a GPU that is taken, by whomever.",
    ("gpu",),
    _NVIDIA,
)
GPU_TOTAL = Definition("gpu_memory_total_bytes", "gauge", "Memory of a GPU.", ("gpu",), _NVIDIA)
GPU_BUSY = Definition(
    "gpu_utilization_ratio",
    "gauge",
    "Share of the last moments in which a GPU was at work.",
    ("gpu",),
    _NVIDIA,
    "0 to 1",
)
DEFINITIONS = (
    BUILD, MEMORY_LIMIT, MEMORY_AVAILABLE, MEMORY_BUDGET, DISK_FREE, DISK_SIZE,
    GPU_USED, GPU_TOTAL, GPU_BUSY,
)  # fmt: skip


class MachineCollector(Collector):
    """One for each place that is scraped; takes a fraction of a millisecond."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.data_dir.absolute()
        self._budget = settings.memory_budget
        self._gpus: Gpus | None = None

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names are not looked at when it is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as of now."""
        yield BUILD.family([((__version__,), 1.0)])
        yield MEMORY_LIMIT.value(memory_limit())
        yield MEMORY_AVAILABLE.value(memory_available())
        if self._budget:
            yield MEMORY_BUDGET.value(self._budget)
        yield from _disk(self._folder)
        # At the first scrape: starting the gateway shall not wait for a driver.
        self._gpus = self._gpus or Gpus()
        found = list(self._gpus.look())
        if found:
            yield GPU_USED.family([((one.number,), one.used) for one in found])
            yield GPU_TOTAL.family([((one.number,), one.total) for one in found])
            yield GPU_BUSY.family([((one.number,), one.utilization) for one in found])


def _disk(folder: Path) -> Iterator[Metric]:
    # Before anything is written there, its disk is that of the folder it will be made in.
    there = next((one for one in (folder, *folder.parents) if one.exists()), None)
    if there is not None:
        usage = shutil.disk_usage(there)
        yield DISK_FREE.family([((_DATA,), usage.free)])
        yield DISK_SIZE.family([((_DATA,), usage.total)])
