"""Blobs wherever fsspec reaches: `s3://bucket/folder` with s3fs, and so on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO, cast

import fsspec

# A file this old is written again when the same bytes come: it might be deleted any moment.
_FRESH_SECONDS = 1800.0


class Remote:
    """A folder of a file system of fsspec's. Its writes are durable when they return."""

    def __init__(self, address: str) -> None:
        self._files, self._root = fsspec.core.url_to_fs(address)

    def touch(self, name: str) -> bool:
        """Return whether a file is there that counts as new."""
        with _as_os_errors():
            try:
                known = self._files.info(self._place(name))
            except FileNotFoundError:
                return False
            return _changed(known) > time.time() - _FRESH_SECONDS

    def write(self, name: str, pieces: Iterator[bytes]) -> None:
        """Write a file, all of it or nothing."""
        with _as_os_errors():
            # In one piece: what is interrupted leaves nothing behind.
            self._files.pipe_file(self._place(name), b"".join(pieces))

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading."""
        with _as_os_errors():
            return cast(BinaryIO, self._files.open(self._place(name), "rb"))

    def delete(self, name: str, younger: float | None = None) -> bool:
        """Delete a file, unless it is younger than so many seconds; return whether it went."""
        place = self._place(name)
        with _as_os_errors():
            try:
                if younger is not None:
                    self._files.invalidate_cache()
                    if _changed(self._files.info(place)) >= time.time() - younger:
                        return False
                self._files.rm_file(place)
            except FileNotFoundError:
                return False
        return True

    def files(self) -> Iterator[tuple[str, float, int]]:
        """Yield name, time of the last change (seconds since 1970) and size of each file."""
        with _as_os_errors():
            self._files.invalidate_cache()
            found = self._files.find(self._root, detail=True)
        for place, known in found.items():
            yield place.rpartition("/")[2], _changed(known), int(known.get("size") or 0)

    def _place(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name[:2]}/{name}"


def _changed(known: dict[str, Any]) -> float:
    """Return when a file was last changed; whoever does not say so counts as old."""
    for name in ("LastModified", "mtime", "last_modified", "updated", "created"):
        found = known.get(name)
        if isinstance(found, datetime):
            return found.timestamp()
        if isinstance(found, int | float):
            return float(found)
    return 0.0


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Each of fsspec's file systems has errors of its own."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__} of the store") from error
