"""Attaches annotated pictures to serving runs, for the models that LEDGER_ANNOTATED names.

Which picture belongs to which prediction is put down in a list for each segment, so that the
segment itself need not wait for them. A list goes when all of it is attached; names are fixed, so
beginning one anew changes nothing.
"""

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from services.core.logging import get_logger
from services.core.settings import Settings
from services.ledger import blobs
from services.ledger.database import index
from services.ledger.database.opening import Database
from services.ledger.places import Places
from services.ledger.reading import Segment
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.parts import Picture
from services.ledger.shipping.sending import RefusedError, send

_log = get_logger(__name__)
_STEP_SECONDS = 1.0
_IMAGES = "images"
_LISTS = "pictures"
_ENDING = ".jsonl"
ATTACHED, MISSING, REFUSED = "pictures_attached", "pictures_missing", "pictures_refused"


class Annotated:
    """The stage: works through the lists, oldest first."""

    name = "annotated"

    def __init__(self, settings: Settings, database: Database, places: Places) -> None:
        self._database = database
        self._places = places
        self._destination = Destination(settings)
        self._folder = places.root / _LISTS
        # Of the list that is being worked on.
        self._current: Path | None = None
        self._left: list[Picture] = []
        shutil.rmtree(self._draft, ignore_errors=True)

    def step(self) -> bool:
        """Attach pictures for about a second; return whether there may be more.

        Raises:
            RegistryUnavailableError: MLflow does not take one now.
            LedgerUnavailableError: the database does not answer.
            OSError: the disk takes no more.
        """
        if self._current is None and not self._next():
            return False
        until = time.monotonic() + _STEP_SECONDS
        counts = {ATTACHED: 0, MISSING: 0, REFUSED: 0}
        try:
            while self._left and time.monotonic() < until:
                counts[self._attach(self._left[-1])] += 1
                self._left.pop()
        finally:
            self._count(counts)
        if not self._left and self._current is not None:
            self._current.unlink(missing_ok=True)
            self._current = None
        return True

    def status(self) -> dict[str, Any]:
        """Return how many pictures were attached, were gone, and were refused."""
        with self._database.reading() as connection:
            totals = index.totals(connection)
        return {name: totals.get(name, 0) for name in (ATTACHED, MISSING, REFUSED)}

    def close(self) -> None:
        """Remove what is half done."""
        shutil.rmtree(self._draft, ignore_errors=True)

    @property
    def _draft(self) -> Path:
        return self._folder / ".draft"

    def _next(self) -> bool:
        """Open the oldest list, if there is any."""
        lists = sorted(self._folder.glob(f"*{_ENDING}"), key=lambda path: path.stat().st_mtime)
        if not lists:
            return False
        self._current = lists[0]
        lines = lists[0].read_bytes().splitlines()
        self._left = [_picture(line) for line in reversed(lines)]
        return True

    def _attach(self, picture: Picture) -> str:
        """Attach a picture; return what became of it, as the name of a counter."""
        try:
            # The id becomes a file's name.
            file = self._draft / f"{UUID(picture.prediction_id)}{Path(picture.name).suffix}"
            blob = blobs.path(self._places, picture.name)
            self._draft.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            _share(blob, file)
        except (ValueError, FileNotFoundError):
            return MISSING
        try:
            send(self._destination, self._database, picture.key, file, _IMAGES)
        except RefusedError as error:
            _log.error(
                "MLflow refuses a picture for good", id=picture.prediction_id, error=error.message
            )
            return REFUSED
        finally:
            file.unlink(missing_ok=True)
        return ATTACHED

    def _count(self, counts: dict[str, int]) -> None:
        with self._database.begin() as connection:
            for name, by in counts.items():
                if by:
                    index.bump(connection, name, by)


def put_down(
    settings: Settings, places: Places, segment: Segment, pictures: Sequence[Picture]
) -> None:
    """Write the list of a segment's pictures that are to be attached, if there are any.

    Raises:
        OSError: the disk takes no more.
    """
    wanted = settings.ledger_annotated
    found = [one for one in pictures if one.key[0] in wanted or "*" in wanted]
    if not found:
        return
    file = places.root / _LISTS / f"{segment.writer}-{segment.number:08d}{_ENDING}"
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_bytes(
        b"".join(
            orjson.dumps([one.key, one.prediction_id, one.name], option=orjson.OPT_APPEND_NEWLINE)
            for one in found
        )
    )
    draft.replace(file)


def _share(blob: Path, file: Path) -> None:
    """Let a file have another name; MLflow calls it what it is called here."""
    try:
        os.link(blob, file)
    except FileNotFoundError:
        raise
    except OSError:
        # Not every file system has links.
        shutil.copyfile(blob, file)


def _picture(line: bytes) -> Picture:
    (model, version, day), prediction_id, name = orjson.loads(line)
    return Picture((model, version, day), prediction_id, name)
