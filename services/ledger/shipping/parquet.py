"""Stores every record in MLflow: each sealed segment as Parquet parts on its serving runs.

A segment counts as stored once all its parts are up. Whenever the shipper dies before that, the
same files are sent again under the same names, so each prediction is there exactly once.
"""

import hashlib
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from services.core.errors import SlipwayError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.ledger.database import index
from services.ledger.database.opening import Database
from services.ledger.places import Places
from services.ledger.reading import Segment, segments
from services.ledger.shipping.annotated import put_down
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.parts import (
    Part,
    Refused,
    payloads_of,
    write_parts,
    write_records,
)
from services.ledger.shipping.sending import RefusedError, send

_log = get_logger(__name__)
_SINK = "parquet"
_STEP_SECONDS = 1.0
# What is sent again goes in files of so many rows: some were refused for their size.
_RESENT_ROWS = 1000
_UNTOUCHED = index.Progress()
_COUNTED = ("rows_stored", "parts_stored", "parquet_refused")


@dataclass(slots=True)
class _Outcome:
    rows: int = 0
    parts: int = 0
    refused: list[Refused] = field(default_factory=list)


class Parquet:
    """The stage. The folder `parts` of the ledger is its own, and emptied at its start."""

    name = _SINK

    def __init__(self, settings: Settings, database: Database, places: Places) -> None:
        self._settings = settings
        self._database = database
        self._places = places
        self._destination = Destination(settings)
        self._folder = places.root / "parts"
        _remove(self._folder)

    def step(self) -> bool:
        """Store segments for about a second; return whether any was.

        Raises:
            RegistryUnavailableError: MLflow does not take a part now.
            LedgerUnavailableError: the database does not answer.
            OSError: the disk takes no more.
        """
        until = time.monotonic() + _STEP_SECONDS
        done, odd = False, None
        for segment in self._ready():
            try:
                self._store(segment)
                done = True
            except (SlipwayError, OSError):
                raise
            except Exception as error:
                # Something about this very segment: the others need not wait for it.
                odd = error
            if time.monotonic() >= until:
                break
        if odd is not None:
            raise odd
        return done

    def status(self) -> dict[str, Any]:
        """Return what happened since the ledger began: rows and parts stored, rows refused."""
        with self._database.reading() as connection:
            totals = index.totals(connection)
        return {name: totals.get(name, 0) for name in _COUNTED}

    def close(self) -> None:
        """Remove what is half done."""
        _remove(self._folder)

    def _ready(self) -> list[Segment]:
        """Return the segments that are sealed and wholly indexed, and not stored yet."""
        sealed = [one for one in segments(self._places.journal) if one.sealed]
        if not sealed:
            return []
        with self._database.reading() as connection:
            known = index.all_progress(connection)
        found = []
        for segment in sealed:
            progress = known.get((segment.writer, segment.number), _UNTOUCHED)
            if not progress.stored and progress.indexed_to >= segment.size:
                found.append(segment)
        return found

    def _store(self, segment: Segment) -> None:
        try:
            outcome = self._sent(segment) if self._destination.exists else _Outcome()
        except FileNotFoundError:
            if segment.path.exists():
                raise
            return  # done with and deleted since it was listed
        finally:
            _remove(self._folder)
        counts = (outcome.rows, outcome.parts, len(outcome.refused))
        with self._database.begin() as connection:
            index.set_stored(connection, segment.writer, segment.number)
            for name, by in zip(_COUNTED, counts, strict=True):
                if by:
                    index.bump(connection, name, by)

    def _sent(self, segment: Segment) -> _Outcome:
        """Send a segment's parts; what is refused for good lies in its dead letters."""
        made = write_parts(segment, self._folder)
        outcome = _Outcome(refused=made.refused)
        for part in made.parts:
            error = self._send(part)
            if error is None:
                outcome.rows += part.rows
                outcome.parts += 1
            else:
                payloads = payloads_of(segment, part.key)
                outcome.refused += [Refused(payload, error) for payload in payloads]
        if outcome.refused:
            _bury(self._places, f"{segment.writer}-{segment.number:08d}", outcome.refused)
        put_down(self._settings, self._places, segment, made.pictures)
        return outcome

    def _send(self, part: Part) -> str | None:
        """Send a part; return why it will never be taken, if so."""
        try:
            send(self._destination, self._database, part.key, part.file, part.folder)
        except RefusedError as error:
            _log.error(
                "MLflow refuses records for good",
                model=part.key[0], version=part.key[1], day=part.key[2],
                rows=part.rows, error=error.message,
            )  # fmt: skip
            return error.message
        return None


def resend(
    settings: Settings, database: Database, places: Places, payloads: Sequence[bytes]
) -> int:
    """Store records that were refused before, each once however often this is done.

    Returns:
        how many rows were stored; a record that fits no row is left out.

    Raises:
        RefusedError: MLflow still refuses them.
        RegistryUnavailableError: MLflow does not answer as it should.
    """
    destination = Destination(settings)
    rows = 0
    places.root.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(payloads), _RESENT_ROWS):
        some = payloads[start : start + _RESENT_ROWS]
        name = hashlib.sha256(b"\n".join(sorted(some))).hexdigest()[:32]
        with TemporaryDirectory(dir=places.root, prefix=".resent-") as folder:
            for part in write_records(some, Path(folder), f"resent-{name}").parts:
                send(destination, database, part.key, part.file, part.folder)
                rows += part.rows
    return rows


def _bury(places: Places, name: str, refused: Iterable[Refused]) -> None:
    """Write a segment's dead letters, in place of those of an earlier try."""
    places.dead.mkdir(parents=True, exist_ok=True)
    file = places.dead / f"{_SINK}-{name}.jsonl"
    draft = file.with_suffix(".new")
    with draft.open("wb") as lines:
        for one in refused:
            letter = {
                "time": time.time(),
                "sink": _SINK,
                "error": one.error,
                "record": orjson.Fragment(one.payload),
            }
            lines.write(orjson.dumps(letter, option=orjson.OPT_APPEND_NEWLINE))
    draft.replace(file)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
