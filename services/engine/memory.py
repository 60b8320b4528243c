"""How much memory this process takes and may take."""

import ctypes
import gc
import os
from pathlib import Path

import psutil

_CGROUP_V2 = Path("/sys/fs/cgroup/memory.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
_SHARE = 0.6


def resident() -> int:
    """Return the bytes of memory that this process occupies now."""
    return int(psutil.Process().memory_info().rss)


def give_back() -> None:
    """Collect what nobody refers to and hand freed memory back to the system.

    The C library keeps freed blocks for later; a model that was unloaded would seem to stay.
    """
    # What `settle` took out of sight may be garbage by now.
    gc.unfreeze()
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def settle() -> None:
    """Take all that is in memory now, models and libraries, out of the collector's sight.

    It would walk through a million objects that stay, for a tenth of a second, while every request
    waits. `give_back` brings them back into sight.
    """
    gc.freeze()


def budget(setting: int) -> int:
    """Return the bytes that models may take: MEMORY_BUDGET, or six tenths of what there is."""
    return setting or int(_SHARE * available())


def available() -> int:
    """Return the bytes that this process may have: its container's limit, or the machine's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in (_CGROUP_V2, _CGROUP_V1):
        try:
            return min(machine, int(file.read_text()))
        except (OSError, ValueError):  # no such file, or `max`
            continue
    return machine


def size_on_disk(folder: Path) -> int:
    """Return the bytes of every file below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
