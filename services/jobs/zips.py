"""Files in a ZIP archive: told apart from folders and litter, and read one at a time within limits.

The names in it are labels of results, never paths: nothing is unpacked to disk.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from services.core.errors import InvalidInputError, PayloadTooLargeError, SlipwayError
from services.core.received import counted

# What a hostile archive makes of the standard library.
_BROKEN = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, LookupError,
    NotImplementedError, OSError, OverflowError, RuntimeError, ValueError,
)  # fmt: skip
_ENCRYPTED = 0x1 | 0x40
# The others can make gigabytes of one read.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_METHOD_NAMES = "entries that are stored or deflated, as zip makes them by default"
# What macOS and Windows add to archives and folders by themselves.
_LITTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
_LONGEST_NAME = 500


class BrokenZipError(Exception):
    """The bytes are no ZIP archive, or a damaged one. Whoever took them says it to the caller."""


@contextmanager
def opened(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Open an archive for as long as the block lasts.

    Raises:
        BrokenZipError: it is none; also for what goes wrong in it within the block.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except SlipwayError:
        raise
    except _BROKEN as error:
        raise BrokenZipError("no whole ZIP archive") from error


def files(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files in an archive, in its own order, without folders and litter."""
    return [entry for entry in archive.infolist() if not entry.is_dir() and not _litter(entry)]


def check(entries: list[zipfile.ZipInfo], most: int, largest: int, total: int) -> None:
    """Refuse what is not to be unpacked, by what the archive declares; `read` holds it to that.

    Args:
        most: files.
        largest: bytes of one of them.
        total: bytes of all of them.

    Raises:
        InvalidInputError: there are none, or one is encrypted or packed by an unusual method.
        PayloadTooLargeError: they are too many, or too large.
    """
    if not entries:
        raise InvalidInputError(
            "The archive has no files.", where="file", expected="at least one", received="none"
        )
    if len(entries) > most:
        raise _too_large("file", f"has {counted(len(entries), 'file')}", f"at most {most} files")
    for index, entry in enumerate(entries):
        where = f"file[{index}]"
        if entry.flag_bits & _ENCRYPTED:
            raise InvalidInputError(
                "A file in the archive is encrypted.", where=where, expected="no password"
            )
        if entry.compress_type not in _METHODS:
            raise InvalidInputError(
                "A file in the archive is packed in an unusual way.",
                where=where,
                expected=_METHOD_NAMES,
            )
        if entry.file_size > largest:
            raise _too_large(where, "has a file that is too large", f"at most {largest} bytes each")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > total:
        raise _too_large("file", "is too large unpacked", f"at most {total} bytes in all")


def read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, largest: int) -> bytes:
    """Return what a file holds, however much it claims to.

    Raises:
        InvalidInputError: it is damaged.
        PayloadTooLargeError: it has more than `largest` bytes.
    """
    try:
        with archive.open(entry) as file:
            data = file.read(largest + 1)
    except _BROKEN as error:
        raise InvalidInputError(
            "The file in the archive is damaged.", where="file", expected="a whole file"
        ) from error
    if len(data) > largest:
        raise _too_large("file", "has a file that is too large", f"at most {largest} bytes each")
    return data


def label(entry: zipfile.ZipInfo) -> str:
    """Return the name of a file, as its results show it."""
    return entry.filename.encode("utf-8", "replace").decode("utf-8")[:_LONGEST_NAME]


def _litter(entry: zipfile.ZipInfo) -> bool:
    parts = [part for part in entry.filename.replace("\\", "/").split("/") if part]
    return not parts or parts[-1].startswith(".") or not _LITTER.isdisjoint(parts)


def _too_large(where: str, what: str, expected: str) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The archive {what}.", where=where, expected=expected)
