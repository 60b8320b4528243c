"""What a worker's parent process and its children know of each other, in memory they share.

No pipe and no lock: a child that dies in the middle of a write leaves nothing half done that
another would wait for. Every value is eight bytes, aligned, so that it is read whole.
"""

import mmap
import os
import struct
import time
from enum import IntEnum

_VALUE = struct.Struct("=d")
_STATE, _CONSUMED, _TOLD, _TAKEN = range(4)
_SLOTS = 4
# Two for each child: its process, while it works, and when its keeper last showed itself.
_EACH = 2


class Phase(IntEnum):
    """Where a worker is in its life."""

    RUNNING = 0
    # Takes nothing new; what it has is finished.
    DRAINING = 1
    # The grace is over: what is not finished is handed back.
    HANDING_BACK = 2


class Board:
    """Made before the children are forked; times are readings of `time.monotonic`."""

    def __init__(self, children: int) -> None:
        self._count = children
        self._memory = mmap.mmap(-1, (_SLOTS + _EACH * children) * _VALUE.size)
        self.consumed()
        self.taken()

    @property
    def phase(self) -> Phase:
        """Where the worker is in its life."""
        return Phase(int(self._get(_STATE)))

    @phase.setter
    def phase(self, value: Phase) -> None:
        self._set(_STATE, float(value))

    def consumed(self) -> None:
        """A message to the worker itself has come back to it."""
        self._set(_CONSUMED, time.monotonic())

    @property
    def silence(self) -> float:
        """Seconds since a message to the worker itself was last consumed."""
        return time.monotonic() - self._get(_CONSUMED)

    def turn_to_tell(self, every: float) -> bool:
        """Return whether it is time that one of the children writes down that all are there.

        Two may find so at once; then it is written twice, which does no harm.
        """
        now = time.monotonic()
        if now - self._get(_TOLD) < every:
            return False
        self._set(_TOLD, now)
        return True

    def taken(self) -> None:
        """A message about something to do has come."""
        self._set(_TAKEN, time.monotonic())

    def begin(self, child: int) -> None:
        """A child begins to work."""
        self.taken()
        self.beat(child)
        self._set(_SLOTS + _EACH * child, float(os.getpid()))

    def beat(self, child: int) -> None:
        """A child that works is not stuck."""
        self._set(_SLOTS + _EACH * child + 1, time.monotonic())

    def stuck(self, seconds: float) -> list[int]:
        """Return the processes of children that work, and have not shown themselves for so long."""
        now = time.monotonic()
        return [
            int(process)
            for child in range(self._count)
            if (process := self._get(_SLOTS + _EACH * child))
            and now - self._get(_SLOTS + _EACH * child + 1) > seconds
        ]

    def end(self, child: int) -> None:
        """A child has nothing to do."""
        self._set(_SLOTS + _EACH * child, 0.0)

    @property
    def busy(self) -> int:
        """How many children work."""
        return sum(1 for child in range(self._count) if self._get(_SLOTS + _EACH * child))

    @property
    def idle(self) -> float:
        """Seconds since something to do came; 0 while a child works."""
        return 0.0 if self.busy else time.monotonic() - self._get(_TAKEN)

    def _get(self, place: int) -> float:
        value: float = _VALUE.unpack_from(self._memory, place * _VALUE.size)[0]
        return value

    def _set(self, place: int, value: float) -> None:
        _VALUE.pack_into(self._memory, place * _VALUE.size, value)
