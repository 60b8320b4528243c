"""Reads the files of prometheus_client's multiprocess mode: values by key, and whose they are.

The library reads and parses every file anew at each scrape. Here the keys are parsed once: a file
only grows, and a value stays where it is.
"""

import json
import mmap
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_INTEGER = struct.Struct("i")
_HEAD = 8
_SUFFIX = ".db"


class Key:
    """A value's name and labels; one object for each, compared by identity.

    Attributes:
        text: as it stands in the files.
        metric: name of the metric that the sample belongs to.
        sample: name of the sample.
        labels: of the sample, in the definition's order.
        help: what the metric says.
    """

    __slots__ = ("help", "labels", "metric", "sample", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.metric: str
        self.metric, self.sample, labels, self.help = json.loads(text)
        self.labels: dict[str, str] = labels


class Keys:
    """Every key that was met."""

    def __init__(self) -> None:
        self._known: dict[str, Key] = {}

    def of(self, text: str) -> Key:
        """Return the key of a text, always the same.

        Raises:
            ValueError: it is none.
        """
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = Key(text)
        return found

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Key]:
        return iter(list(self._known.values()))


class Name(NamedTuple):
    """What the name of a file says: `gauge_livemax_4711-99.db`."""

    file: str
    type: str
    across: str
    owner: str


def names(folder: Path) -> list[Name]:
    """Return what lies in a folder; what is not ours is left out, and one that is gone is empty."""
    there: list[str] = []
    with suppress(FileNotFoundError):
        there = sorted(path.name for path in folder.iterdir())
    return [found for file in there if (found := _name(file)) is not None]


def _name(file: str) -> Name | None:
    parts = file.removesuffix(_SUFFIX).split("_")
    if not file.endswith(_SUFFIX):
        return None
    match parts:
        case ["gauge", across, owner]:
            return Name(file, "gauge", across, owner)
        case [("counter" | "histogram") as type_, owner]:
            return Name(file, type_, "", owner)
    return None


class File:
    """One file, mapped. What its writer had half done when it was killed is not looked at."""

    def __init__(self, path: Path, keys: Keys) -> None:
        self._path = path
        self._all = keys
        self._keys: list[Key] = []
        self._places: list[int] = []
        self._read = _HEAD
        self._map: mmap.mmap | None = None

    def items(self) -> Iterable[tuple[Key, float]]:
        """Return every value as it is now.

        Raises:
            OSError: the file is gone.
        """
        data = self._data()
        if data is None:
            return ()
        self._parse(data, min(_INTEGER.unpack_from(data, 0)[0], len(data)))
        # Eight bytes that lie together are read at once: never half of a value.
        values = memoryview(data).cast("d")
        return zip(self._keys, map(values.__getitem__, self._places), strict=True)

    def _data(self) -> mmap.mmap | None:
        """Return the map, which comes anew when the file has grown beyond it."""
        data = self._map
        if data is None or _INTEGER.unpack_from(data, 0)[0] > len(data):
            with self._path.open("rb") as file:
                try:
                    data = self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                except ValueError:
                    # Killed before it was more than a name.
                    return None
        return data

    def _parse(self, data: mmap.mmap, used: int) -> None:
        while self._read < used:
            (length,) = _INTEGER.unpack_from(data, self._read)
            start = self._read + _INTEGER.size
            place = start + length + (8 - (length + 4) % 8)
            if length <= 0 or place + 16 > used:
                return
            try:
                key = self._all.of(data[start : start + length].decode())
            except ValueError:
                return
            self._keys.append(key)
            self._places.append(place // 8)
            self._read = place + 16
