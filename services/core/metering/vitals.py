"""What a process says of itself: memory, processor time, open files, that it lives."""

import time

import psutil
from prometheus_client import CollectorRegistry

from services.core.metering import definitions as d

GATEWAY, LEDGER, BEAT = "gateway", "ledger", "beat"


def worker(queue: str) -> str:
    """Return the name of the program that serves a queue."""
    return f"worker-{queue}"


class Vitals:
    """The metrics `program_*` of this process, as of the last `settle`.

    Args:
        program: what kind of process it is; there are few.
    """

    def __init__(self, program: str, registry: CollectorRegistry) -> None:
        self._process = psutil.Process()
        self._memory = d.PROGRAM_MEMORY.gauge(registry).labels(program)
        self._cpu = d.PROGRAM_CPU.counter(registry).labels(program)
        self._files = d.PROGRAM_FILES.gauge(registry).labels(program)
        self._used = 0.0
        d.PROGRAM_START.gauge(registry).labels(program).set(self._process.create_time())
        d.PROGRAM_PROCESSES.gauge(registry).labels(program).set(1)
        self.settle()

    def settle(self) -> None:
        """Measure; takes a tenth of a millisecond."""
        used = time.process_time()
        self._cpu.inc(max(0.0, used - self._used))
        self._used = used
        self._memory.set(self._process.memory_info().rss)
        self._files.set(self._process.num_fds())
