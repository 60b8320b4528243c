"""What dead processes have counted, in one file, so that a folder stays small.

A scrape never waits and never sees a count twice or not at all: the folded file takes the place of
its predecessor in one step and says whose files are in it, and only then do these go.
"""

import fcntl
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from services.core.logging import get_logger
from services.core.metering.files import File, Keys, Name, names
from services.core.metering.identity import alive

_log = get_logger(__name__)
_FILE, _NEW, _LOCK = "folded.json", "folded.new", "folding.lock"

# By type, by key: floats whose exact sum is the value.
Values = Mapping[str, Mapping[str, list[float]]]


@dataclass(frozen=True, slots=True)
class Folded:
    """The folded file.

    Attributes:
        sources: files that are in it, as far as they may still be there.
    """

    sources: frozenset[str] = frozenset()
    values: Values = field(default_factory=dict)


def stamp(folder: Path) -> tuple[int, int, int] | None:
    """Return what changes whenever the folded file does; None without one."""
    try:
        found = (folder / _FILE).stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def load(folder: Path) -> Folded:
    """Return what is folded."""
    try:
        found = json.loads((folder / _FILE).read_bytes())
    except FileNotFoundError:
        return Folded()
    except ValueError:
        # It is written beside and renamed: only a power failure can have done this.
        _log.warning("the counts of ended processes are lost")
        return Folded()
    return Folded(frozenset(found["sources"]), found["values"])


def fold(folder: Path) -> None:
    """Fold what the dead have left; nothing is done where somebody else is at it."""
    try:
        # The usual case costs no lock.
        if not _dead(folder):
            return
        with _alone(folder) as mine:
            if mine:
                _fold(folder)
    except OSError as error:
        # No room, perhaps: everything is still counted where it is.
        _log.warning("metrics of ended processes stay", error=error.strerror)


def _fold(folder: Path) -> None:
    old = load(folder)
    dead = _dead(folder)
    for name in dead:
        # A folding that was killed has left those that are in it already.
        if name.type == "gauge" or name.file in old.sources:
            (folder / name.file).unlink(missing_ok=True)
    counted = [one for one in dead if one.type != "gauge" and one.file not in old.sources]
    if not counted:
        return
    values = {kind: dict(found) for kind, found in old.values.items()}
    keys = Keys()
    for name in counted:
        kept = values.setdefault(name.type, {})
        for key, value in File(folder / name.file, keys).items():
            if value:
                kept[key.text] = exact((*kept.get(key.text, ()), value))
    sources = [one.file for one in counted]
    (folder / _NEW).write_text(json.dumps({"sources": sources, "values": values}))
    (folder / _NEW).replace(folder / _FILE)
    for one in counted:
        (folder / one.file).unlink(missing_ok=True)


def _dead(folder: Path) -> list[Name]:
    found = names(folder)
    gone = {owner for owner in {one.owner for one in found} if not alive(owner)}
    return [one for one in found if one.owner in gone]


def exact(values: Iterable[float]) -> list[float]:
    """Return as few floats as have the same sum, without any rounding (Shewchuk's expansion).

    Rounded sums differ in their last digit by the order in which they are made, and a counter that
    falls by that much is taken for one that began anew.
    """
    parts: list[float] = []
    for value in values:
        if not math.isfinite(value):
            return [value]
        kept: list[float] = []
        for other in parts:
            big, small = (value, other) if abs(value) >= abs(other) else (other, value)
            value = big + small
            rest = small - (value - big)
            if rest:
                kept.append(rest)
        parts = [*kept, value]
    return parts


def total(values: Iterable[float]) -> float:
    """Return the sum, rounded once."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # infinities of both signs
        return math.nan


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    number = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        mine = False
        with suppress(OSError):
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = True
        yield mine
    finally:
        os.close(number)
