"""What is too large for a row: payloads and results, in files named after their SHA-256.

They lie in a folder, or wherever else fsspec reaches (`JOB_BLOBS`). A name is given out only once
the bytes would outlive a power failure. The same bytes are kept once.
"""

import errno
import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from services.core.errors import (
    CheckpointError,
    ConfigurationError,
    LedgerFullError,
    LedgerUnavailableError,
    NotFoundError,
)
from services.core.settings import Settings
from services.jobs.blob_folder import Folder

_NAME = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,8}")
_SUFFIX = re.compile(r"[a-z0-9]{1,8}")
_PIECE = 1024 * 1024
_RETRY_AFTER = 5.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WHERE = "JOB_BLOBS"


class Store(Protocol):
    """Files by name: a folder, or a bucket. What is not there is a `FileNotFoundError`."""

    def touch(self, name: str) -> bool:
        """Mark a file as new, if it is there; return whether it is."""

    def write(self, name: str, pieces: Iterator[bytes]) -> None:
        """Write a file that survives a power failure, all of it or nothing."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading."""

    def delete(self, name: str, younger: float | None = None) -> bool:
        """Delete a file, unless it is younger than so many seconds; return whether it went."""

    def files(self) -> Iterator[tuple[str, float, int]]:
        """Yield name, time of the last change (seconds since 1970) and size of each file."""


class Blobs:
    """Keeps bytes by their digest. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._store = _open(settings)

    def put(self, data: bytes, suffix: str = "bin") -> str:
        """Keep some bytes; return their name once they are durable.

        Raises:
            LedgerFullError: the disk takes no more.
            LedgerUnavailableError: the store does not answer.
        """
        name = _name(digest(data), suffix)
        with _errors():
            if not self._store.touch(name):
                self._store.write(name, iter((data,)))
        return name

    def put_file(self, file: BinaryIO, suffix: str = "bin") -> str:
        """Keep what a seekable file holds, from its start; raises as `put` does."""
        made = hashlib.sha256()
        for piece in _pieces(file):
            made.update(piece)
        name = _name(made.hexdigest(), suffix)
        with _errors():
            if not self._store.touch(name):
                self._store.write(name, _pieces(file))
        return name

    def get(self, ref: str) -> bytes:
        """Return the bytes of a name.

        Raises:
            NotFoundError: they are gone.
            CheckpointError: they are not what was kept.
            LedgerUnavailableError: the store does not answer.
        """
        return b"".join(self.stream(ref))

    def stream(self, ref: str) -> Iterator[bytes]:
        """Yield the bytes of a name in pieces of 1 MiB at most; raises as `get` does.

        That they are damaged is known with the last piece only.
        """
        wanted = _checked(ref)
        made = hashlib.sha256()
        with _errors(), self._store.open(ref) as file:
            while piece := file.read(_PIECE):
                made.update(piece)
                yield piece
        if made.hexdigest() != wanted:
            raise CheckpointError(
                "What was kept for this job is damaged.", where="job", expected="the same bytes"
            )

    def fetch(self, ref: str, file: BinaryIO) -> None:
        """Copy the bytes of a name into a file; raises as `get` does."""
        for piece in self.stream(ref):
            file.write(piece)

    def has(self, ref: str) -> bool:
        """Whether the bytes of a name are there; they count as new from now on."""
        _checked(ref)
        with _errors():
            return self._store.touch(ref)

    def delete(self, ref: str, younger: float | None = None) -> bool:
        """Delete a blob, unless it was kept (again) within so many seconds; return if it went."""
        _checked(ref)
        with _errors():
            return self._store.delete(ref, younger)

    def older_than(self, seconds: float) -> Iterator[str]:
        """Yield the names of blobs that were last kept so long ago."""
        bound = time.time() - seconds
        with _errors():
            for name, changed, _ in self._store.files():
                if changed < bound and _NAME.fullmatch(name):
                    yield name

    def size(self) -> int:
        """Return how many bytes there are in all."""
        with _errors():
            return sum(size for _, _, size in self._store.files())


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hex."""
    return hashlib.sha256(data).hexdigest()


def _open(settings: Settings) -> Store:
    place = settings.job_blobs
    if place is None:
        return Folder(settings.data_dir.absolute() / "jobs" / "blobs")
    scheme, mark, rest = place.partition("://")
    if not mark:
        return Folder(Path(place).absolute())
    if scheme in ("file", "local"):
        return Folder(Path("/" + rest.lstrip("/")))
    from services.jobs.blob_remote import Remote

    try:
        return Remote(place)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"Blobs cannot be kept at {scheme[:20]}:// from here.",
            where=_WHERE,
            expected="a folder, or an address of fsspec whose package is installed (s3: s3fs)",
        ) from error


def _name(hexadecimal: str, suffix: str) -> str:
    if not _SUFFIX.fullmatch(suffix):
        raise ValueError("not a suffix of a blob")
    return f"{hexadecimal}.{suffix}"


def _checked(ref: str) -> str:
    """Return the digest that a name says."""
    if not _NAME.fullmatch(ref):
        raise NotFoundError("That is not the name of a blob.", where="job")
    return ref.partition(".")[0]


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE):
        yield piece


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(
            "What was kept for this job is gone.", where="job", expected="a job that is not too old"
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise LedgerFullError(
                "Jobs cannot be kept now: the disk is full.",
                where=_WHERE,
                retry_after=_RETRY_AFTER,
            ) from error
        raise _away() from error


def _away() -> LedgerUnavailableError:
    return LedgerUnavailableError(
        "The store of blobs does not answer.", where=_WHERE, retry_after=_RETRY_AFTER
    )
