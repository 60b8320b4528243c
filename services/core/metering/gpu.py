"""The graphics processors of this machine, asked through NVIDIA's own library where it is there."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from services.core.logging import get_logger

_log = get_logger(__name__)


class Gpu(NamedTuple):
    """One of them: its number, bytes, and the share of the last moments in which it worked."""

    number: str
    used: float
    total: float
    utilization: float


class Gpus:
    """Asks; a machine without any is found out once and never asked again."""

    def __init__(self) -> None:
        self._library: Any = None
        self._handles: list[Any] = []
        try:
            # About a second where there is a driver, else a missing file.
            import pynvml

            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(count)]
            self._library = pynvml
        except Exception as error:  # no such package, no driver, no permission
            _log.debug("no GPU is watched", reason=type(error).__name__)

    def look(self) -> Iterator[Gpu]:
        """Yield each of them as it is now; one that does not answer is left out."""
        for number, handle in enumerate(self._handles):
            try:
                memory = self._library.nvmlDeviceGetMemoryInfo(handle)
                busy = self._library.nvmlDeviceGetUtilizationRates(handle).gpu / 100
            except self._library.NVMLError as error:
                _log.debug("a GPU does not answer", gpu=number, reason=str(error))
                continue
            yield Gpu(str(number), float(memory.used), float(memory.total), busy)
