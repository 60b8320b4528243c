"""What this machine, or the container, has: memory, and how much of it is left."""

import os
from pathlib import Path

import psutil

_V2, _V1 = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")
_LIMITS = (_V2 / "memory.max", _V1 / "memory.limit_in_bytes")
_USED = (
    (_V2, "memory.current", "inactive_file"),
    (_V1, "memory.usage_in_bytes", "total_inactive_file"),
)


def memory_limit() -> int:
    """Return the bytes that processes here may have: the container's limit, or the machine's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in _LIMITS:
        try:
            return min(machine, int(file.read_text()))
        except (OSError, ValueError):  # no such file, or `max`
            continue
    return machine


def memory_available() -> int:
    """Return the bytes that may still be taken before something has to go."""
    free = int(psutil.virtual_memory().available)
    used = _container_uses()
    return free if used is None else max(0, min(free, memory_limit() - used))


def _container_uses() -> int | None:
    """Return what the container uses, less what the kernel gives back by itself."""
    for folder, current, spare in _USED:
        try:
            used = int((folder / current).read_text())
            lines = (folder / "memory.stat").read_text().splitlines()
        except (OSError, ValueError):
            continue
        stat = dict(line.split() for line in lines)
        return used - int(stat.get(spare, 0))
    return None
