"""Several processes of one machine, one set of metrics: each writes into files of its own.

The files are those of prometheus_client's multiprocess mode, mapped into memory: an increment costs
a microsecond, and a process that is killed loses none. `share` comes before the first metric is
made, and again in a child after a fork, which then makes metrics of its own.
"""

import os
from pathlib import Path

from prometheus_client import values

from services.core.logging import get_logger
from services.core.metering.identity import identity

_log = get_logger(__name__)
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Bytes of each file that are taken at once: on a disk that has become full, touching a page of a
# map that is not on it yet would kill the process.
_RESERVED = {
    "counter": 256 * 1024,
    "histogram": 1024 * 1024,
    "gauge_livesum": 64 * 1024,
    "gauge_livemax": 64 * 1024,
    "gauge_livemin": 64 * 1024,
}
_shared: Path | None = None


def share(folder: Path | None) -> bool:
    """Keep this process's metrics in files of a folder from here on; None: in its memory.

    Return whether they are in files: without room on the disk they stay in memory, and only who
    asks this very process sees them.
    """
    global _shared
    _shared = None
    # Chosen when the library was imported, which may have been long before.
    values.ValueClass = values.MutexValue
    if folder is None:
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _reserve(folder)
    except OSError as error:
        _log.warning("metrics are kept in memory only", error=error.strerror)
        return False
    os.environ[VARIABLE] = str(folder)
    values.ValueClass = values.MultiProcessValue(identity)  # type: ignore[no-untyped-call]
    _shared = folder
    return True


def shared() -> Path | None:
    """Return the folder in which this process's metrics are; None: they are in its memory."""
    return _shared


def _reserve(folder: Path) -> None:
    for kind, size in _RESERVED.items():
        number = os.open(folder / f"{kind}_{identity()}.db", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(number, 0, size)
            else:  # pragma: no cover - not on Linux
                os.ftruncate(number, size)
        finally:
            os.close(number)
