"""Moving the records of jobs, for tests: what is there to move, and what became of it.

`python -m tests.ledger.shipping.moving` runs a real shipper with the settings of the environment;
in place of MLflow it has a folder, where each stored segment is a file that replaces itself.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import func, select

from services.core.settings import Settings, get_settings
from services.ledger.database import index, job_records
from services.ledger.database.job_tables import job_records as waiting
from services.ledger.database.opening import Database
from services.ledger.database.tables import minutes, predictions
from services.ledger.jobrecorder import row
from services.ledger.places import Places
from services.ledger.reading import read, segments
from services.ledger.shipping.finishing import Finishing
from services.ledger.shipping.indexing import Indexing
from services.ledger.shipping.jobrecords import JobRecords
from services.ledger.shipping.lane import Stage
from services.ledger.shipping.shipper import Shipper
from services.ledger.shipping.traces import Traces
from tests.ledger.journals import encoded, record
from tests.support.patience import PATIENCE


class Kept:
    """The stage in MLflow's place: a sealed segment becomes a file of its ids, under its name."""

    name = "kept"

    def __init__(self, settings: Settings, database: Database, places: Places) -> None:
        self._database, self._places = database, places
        self.folder = settings.data_dir / "kept"
        self.folder.mkdir(parents=True, exist_ok=True)

    def step(self) -> bool:
        with self._database.reading() as connection:
            known = index.all_progress(connection)
        for segment in segments(self._places.journal):
            progress = known.get((segment.writer, segment.number))
            if progress is None or progress.stored or not segment.sealed:
                continue
            if progress.indexed_to < segment.size:
                continue
            found = [orjson.loads(one.payload)["id"] for one in read(segment, 0, 1 << 30).records]
            file = self.folder / f"{segment.writer}-{segment.number}"
            draft = file.with_suffix(".new")
            draft.write_text("\n".join(found))
            draft.replace(file)
            with self._database.begin() as connection:
                index.set_stored(connection, segment.writer, segment.number)
        return False

    def status(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


def stages(settings: Settings, database: Database, places: Places) -> list[tuple[Stage, float]]:
    """Return what a shipper does, the first one made first."""
    kinds = (JobRecords, Indexing, Traces, Kept, Finishing)
    return [(kind(settings, database, places), 0.02) for kind in kinds]


def add(database: Database, count: int) -> list[str]:
    """Write records as jobs do at their end, a few in each transaction; return their ids."""
    made = [record(mode="async") for _ in range(count)]
    for start in range(0, count, 5):
        with database.begin() as connection:
            some = encoded(made[start : start + 5])
            job_records.add(connection, [row(payload, "job") for payload in some])
    return [one["id"] for one in made]


def kept(*data_dirs: Path) -> list[str]:
    """Return every id that was stored, as often as it was, sorted."""
    files = [file for one in data_dirs for file in (one / "kept").glob("*") if not file.suffix]
    return sorted(name for file in files for name in file.read_text().split())


def counts(database: Database) -> tuple[int, int, int]:
    """Return how many records wait, are indexed, and are counted in the minutes."""
    with database.reading() as connection:
        found = (
            connection.scalar(select(func.count()).select_from(waiting)),
            connection.scalar(select(func.count()).select_from(predictions)),
            connection.scalar(select(func.sum(minutes.c.count))),
        )
    return tuple(int(value or 0) for value in found)  # type: ignore[return-value]


def finish(settings: Settings, database: Database, patience: float = 60.0) -> None:
    """Do all there is to do, as one shipper after another would."""
    places = Places(settings.data_dir)
    until = time.monotonic() + patience
    while True:
        found = [stage for stage, _ in stages(settings, database, places)]
        rounds = 0
        while counts(database)[0] or rounds < 2:
            for stage in found:
                stage.step()
            rounds += 1
            assert time.monotonic() < until
        for stage in found:
            stage.close()
        if not segments(places.journal):
            return


def run_until_killed(settings: Settings, database: Database, seconds: float = PATIENCE) -> None:
    """Step like a shipper, in this process, until something ends it."""
    found: Sequence[Stage] = [
        stage for stage, _ in stages(settings, database, Places(settings.data_dir))
    ]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for stage in found:
            stage.step()


def main() -> int:
    """Ship until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    worker = threading.Thread(
        target=lambda: Shipper(get_settings(), stages, standby_seconds=0.1).run(stop)
    )
    worker.start()
    while worker.is_alive():
        worker.join(0.1)
    return 0


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main())
