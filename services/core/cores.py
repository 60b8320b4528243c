"""How many processor cores this process may really use."""

import os
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1_QUOTA = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
_CGROUP_V1_PERIOD = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def available_cores() -> int:
    """Return the number of cores, at least 1, that affinity and the container's quota allow.

    `os.cpu_count()` reports the whole machine even inside a container that gets two cores of
    it, and a network run with 64 threads on 2 cores is several times slower than with 2.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # pragma: no cover - not every system has affinity
        cores = os.cpu_count() or 1
    quota = _quota()
    return max(1, cores if quota is None else min(cores, round(quota)))


def _quota() -> float | None:
    """Cores granted by the control group, or None where there is no limit."""
    try:
        if _CGROUP_V2.exists():
            limit, period = _CGROUP_V2.read_text().split()
            return None if limit == "max" else int(limit) / int(period)
        quota = int(_CGROUP_V1_QUOTA.read_text())
        return None if quota <= 0 else quota / int(_CGROUP_V1_PERIOD.read_text())
    except (OSError, ValueError, ZeroDivisionError):
        return None
