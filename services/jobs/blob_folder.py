"""Blobs in a folder of this machine (or one that several machines mount)."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from services.core.ids import new_id

# Drafts and files on their way out; older than this nobody is at them any more.
_STRAY_SECONDS = 3600.0


class Folder:
    """A folder with a folder for each first two digits of the names."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def touch(self, name: str) -> bool:
        """Mark a file as new, if it is there; return whether it is."""
        try:
            os.utime(self._place(name))
        except FileNotFoundError:
            return False
        return True

    def write(self, name: str, pieces: Iterator[bytes]) -> None:
        """Write a file that survives a power failure, all of it or nothing."""
        place = self._place(name)
        self._make(place.parent)
        draft = place.parent / f".{new_id()}"
        try:
            with draft.open("xb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(place)
        except BaseException:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        _sync(place.parent)

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading."""
        return self._place(name).open("rb")

    def delete(self, name: str, younger: float | None = None) -> bool:
        """Delete a file, unless it is younger than so many seconds; return whether it went.

        It is moved aside first: whoever marked it as new before that gets it back, and whoever
        comes after it writes it anew.
        """
        place = self._place(name)
        aside = place.parent / f".{new_id()}"
        with suppress(FileNotFoundError):
            if younger is not None and not _older(place, younger):
                return False
            place.rename(aside)
            if younger is not None and not _older(aside, younger):
                aside.replace(place)
                return False
            aside.unlink()
            return True
        return False

    def files(self) -> Iterator[tuple[str, float, int]]:
        """Yield name, time of the last change (seconds since 1970) and size of each file."""
        for place in self._root.glob("??/*"):
            with suppress(FileNotFoundError):
                known = place.stat()
                if not place.name.startswith("."):
                    yield place.name, known.st_mtime, known.st_size
                elif known.st_mtime < time.time() - _STRAY_SECONDS:
                    place.unlink()

    def _place(self, name: str) -> Path:
        return self._root / name[:2] / name

    def _make(self, folder: Path) -> None:
        if folder.is_dir():
            return
        made = [one for one in (folder, *folder.parents) if not one.is_dir()]
        folder.mkdir(parents=True, exist_ok=True)
        # The names of the new folders have to be on the disk too.
        for one in made:
            _sync(one.parent)


def _older(place: Path, seconds: float) -> bool:
    return place.stat().st_mtime < time.time() - seconds


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
