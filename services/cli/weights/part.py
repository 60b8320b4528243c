"""A download that is not finished: the bytes so far, and which version of the file they are of."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True)
class Remote:
    """One version of a file on a server. `size` in bytes, None where the server does not say."""

    url: str
    size: int | None
    etag: str | None
    modified: str | None

    @property
    def validator(self) -> str | None:
        """What If-Range takes: a strong entity tag, else the date; a weak tag proves nothing."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.modified


class Part:
    """The `.part` file beside a target, and its `.part.json` naming the version it belongs to."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")

    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def remote(self) -> Remote | None:
        """Return the version the bytes are of, or None where that is unknown."""
        try:
            return Remote(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def resumable(self, url: str) -> Remote | None:
        """Return the version to go on with, or None where to start from nothing."""
        known = self.remote()
        if self.size() and known and known.url == url and known.validator:
            return known
        return None

    def complete(self) -> bool:
        """Say whether every byte is there; never so where the server did not tell the size."""
        known = self.remote()
        return known is not None and known.size is not None and known.size == self.size()

    def begin(self, remote: Remote) -> None:
        """Throw away what is there and start a version."""
        self.path.write_bytes(b"")
        self._note.write_text(json.dumps(asdict(remote)), encoding="utf-8")

    def append(self) -> IO[bytes]:
        """Open for the bytes that follow."""
        return self.path.open("ab")

    def discard(self) -> None:
        """Remove every trace."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def promote(self, target: Path) -> None:
        """Put the finished file in its place, in one step."""
        self.path.replace(target)
        self._note.unlink(missing_ok=True)
