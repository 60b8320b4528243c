"""Which process this is, unlike any other that had or will have its number.

A number is given out again, and what a dead process left behind would be taken for the new one's.
"""

import os
from pathlib import Path

import psutil

_PROC = Path("/proc")
# Of /proc/PID/stat, behind the name in brackets: the state, and when it began.
_STATE, _BEGAN = 0, 19
_GONE = frozenset({b"Z", b"X", b"x"})
_known: tuple[int, str] = (0, "")


def identity() -> str:
    """Return this process's identity, without `_`; cheap, and right after a fork."""
    global _known
    number = os.getpid()
    if _known[0] != number:
        _known = (number, f"{number}-{_began(number)}")
    return _known[1]


def alive(who: str) -> bool:
    """Whether the process of an identity still runs; one that nobody has waited for does not."""
    number, _, began = who.partition("-")
    return number.isdigit() and _began(int(number)) == began


def _began(number: int) -> str | None:
    """Return when a process began, in whatever unit; None where it has ended."""
    try:
        fields = (_PROC / str(number) / "stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None if _PROC.joinpath("self").exists() else _asked(number)
    return None if fields[_STATE] in _GONE else fields[_BEGAN].decode()


def _asked(number: int) -> str | None:
    """Return the same on a system without /proc."""
    try:
        process = psutil.Process(number)
        gone = process.status() == psutil.STATUS_ZOMBIE
        return None if gone else f"{process.create_time() * 1000:.0f}"
    except psutil.NoSuchProcess:
        return None
