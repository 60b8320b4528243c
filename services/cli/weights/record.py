"""The note kept beside installed weights: what they are, from where, and their checksum."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from services.cli.weights.errors import VerificationError

_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class Record:
    """Written as JSON to `<file>.json`. `size` in bytes, `fetched` in UTC (ISO 8601)."""

    name: str
    source: str
    size: int
    sha256: str
    licence: str
    fetched: str


def record_path(target: Path) -> Path:
    """Return where the record of a file lies."""
    return target.with_name(target.name + ".json")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def describe(path: Path, *, name: str, source: str, licence: str) -> Record:
    """Return the record of a file that is complete."""
    return Record(
        name=name,
        source=source,
        size=path.stat().st_size,
        sha256=sha256_of(path),
        licence=licence,
        fetched=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def write(target: Path, record: Record) -> None:
    """Write the record beside its file, in one step."""
    final = record_path(target)
    partial = final.with_name(final.name + ".part")
    with partial.open("w", encoding="utf-8") as handle:
        json.dump(asdict(record), handle, indent=2)
        handle.write("\n")
        handle.flush()
        os.fsync(handle.fileno())
    partial.replace(final)


def read(target: Path) -> Record | None:
    """Return the record of a file, or None if there is none that can be read."""
    try:
        return Record(**json.loads(record_path(target).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def verify(target: Path, record: Record) -> None:
    """Compare a file with its record.

    Raises:
        VerificationError: it is not what was recorded.
    """
    size = target.stat().st_size
    if size != record.size:
        raise VerificationError(
            f"The file has {size:,} bytes and had {record.size:,} when it was installed.",
            where=target.name,
            expected="an unchanged file; --force fetches it again",
        )
    if sha256_of(target) != record.sha256:
        raise VerificationError(
            "The file's checksum is no longer the one recorded when it was installed.",
            where=target.name,
            expected="an unchanged file; --force fetches it again",
        )
