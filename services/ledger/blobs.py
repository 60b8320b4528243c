"""What is too large for a record: pictures and long values, in files named after their SHA-256.

The same bytes are kept once. They are kept for a time (`LEDGER_BLOB_DAYS`) and up to a size
(`LEDGER_BLOB_BYTES`), the oldest go first; a record's digest stays true without them.
"""

import hashlib
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from services.core.ids import new_id
from services.ledger.places import Places

_NAME = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,8}")
_DAY = 86_400.0
_SUFFIX: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG", "png"),
    (b"RIFF", "webp"),
)


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hex."""
    return hashlib.sha256(data).hexdigest()


def picture_name(data: bytes) -> str:
    """Return the name under which a picture is kept."""
    suffix = next((suffix for magic, suffix in _SUFFIX if data.startswith(magic)), "bin")
    return f"{digest(data)}.{suffix}"


def path(places: Places, name: str) -> Path:
    """Return where a blob lies, if it is still there.

    Raises:
        ValueError: that is no blob's name.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("not the name of a blob")
    return places.blobs / name[:2] / name


def store(places: Places, name: str, data: bytes) -> None:
    """Keep some bytes; what is there already is marked as new.

    Raises:
        OSError: the disk takes no more.
    """
    place = path(places, name)
    with suppress(FileNotFoundError):
        os.utime(place)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.parent / f".{new_id()}"
    try:
        draft.write_bytes(data)
        draft.replace(place)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def json_value(places: Places, name: str, most_bytes: int) -> Any:
    """Return what a blob of JSON holds; None where it is gone, larger than that, or no JSON."""
    try:
        place = path(places, name)
        if place.stat().st_size > most_bytes:
            return None
        return orjson.loads(place.read_bytes())
    except (OSError, ValueError):
        return None


def prune(
    places: Places, days: float, most_bytes: int, *, dry_run: bool = False
) -> tuple[int, int]:
    """Delete what is older than `days` (0: nothing is too old), then the oldest above `most_bytes`.

    Returns:
        how many files went, and how many bytes.
    """
    found: list[tuple[float, int, Path]] = []
    for place in places.blobs.glob("??/*"):
        with suppress(FileNotFoundError):
            known = place.stat()
            found.append((known.st_mtime, known.st_size, place))
    found.sort()
    oldest = time.time() - days * _DAY if days else float("-inf")
    total = sum(size for _, size, _ in found)
    files = count = 0
    for changed, size, place in found:
        if changed >= oldest and total <= most_bytes:
            break
        if not dry_run:
            place.unlink(missing_ok=True)
        total -= size
        files, count = files + 1, count + size
    return files, count
