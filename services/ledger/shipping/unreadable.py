"""Records that the database cannot take: put aside in `dead/records.jsonl`, each of them once."""

import os
import time
from pathlib import Path
from typing import Any

import orjson

from services.core.logging import get_logger
from services.ledger.places import Places
from services.ledger.reading import Entry, Segment

_log = get_logger(__name__)
_SINK = "records"


class Unreadable:
    """The file of dead letters of the stage `indexing`; only that one writes to it."""

    def __init__(self, places: Places) -> None:
        self._path = places.dead / f"{_SINK}.jsonl"
        # Places in journals whose letters are there: a killed shipper comes to them again.
        self._known: set[str] | None = None

    def put(self, segment: Segment, entry: Entry, reason: str) -> None:
        """Write down a record, as it stood in the journal, and why nobody can use it.

        Raises:
            OSError: the disk does not take it.
        """
        at = f"{segment.writer}/{segment.number}@{entry.start}"
        if self._known is None:
            self._known = _places_in(self._path)
        if at in self._known:
            return
        letter = {
            "time": time.time(),
            "sink": _SINK,
            "error": reason,
            "at": at,
            "record": _shown(entry.payload),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            # The line before may have been torn.
            start = b"\n" if file.tell() and not _ends_whole(self._path) else b""
            file.write(start + orjson.dumps(letter, option=orjson.OPT_APPEND_NEWLINE))
            file.flush()
            os.fdatasync(file.fileno())
        self._known.add(at)
        _log.error("a record cannot be taken", at=at, error=reason, file=self._path.name)


def _shown(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return payload.decode("utf-8", "backslashreplace")


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _places_in(path: Path) -> set[str]:
    found = set()
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    found.add(str(orjson.loads(line).get("at")))
                except (orjson.JSONDecodeError, AttributeError):
                    continue
    except FileNotFoundError:
        pass
    return found
