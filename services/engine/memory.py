"""How much memory this process takes and may take."""

import ctypes
import gc
from pathlib import Path

import psutil

from services.core.machine import memory_limit

_SHARE = 0.6


def resident() -> int:
    """Return the bytes of memory that this process occupies now."""
    return int(psutil.Process().memory_info().rss)


def give_back() -> None:
    """Collect all that nobody refers to and hand freed memory back to the system.

    For after a model has gone: what `settle` took out of sight may be garbage by now. That walks
    through all there is, for some tenths of a second, while every request waits.
    """
    gc.unfreeze()
    tidy()


def tidy() -> None:
    """Collect what is in sight and nobody refers to, and hand freed memory back to the system.

    The C library keeps freed blocks for later; a model that was unloaded would seem to stay.
    """
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
    return memory_limit()


def size_on_disk(folder: Path) -> int:
    """Return the bytes of every file below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
