"""A ledger with records in it, and what MLflow has of them: for the tests of what stores them."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from services.core.settings import Settings
from services.ledger.database import index
from services.ledger.database.opening import Database, open_database
from services.ledger.journal import Journal
from services.ledger.places import Places
from services.ledger.reading import Segment, read, segments
from services.ledger.records import parse
from services.ledger.shipping.destination import DAY, MODEL, VERSION, Destination
from services.ledger.shipping.lane import Stage
from tests.ledger.journals import encoded
from tests.support.patience import PATIENCE

# 2026-11-20 and 2026-11-21, 12:00 UTC.
NOON = 1_795_176_000.0
TODAY = NOON + 86_400.0


class Ledger:
    """A ledger in a folder, with its database open."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.places = Places(settings.data_dir)
        self.database: Database = open_database(settings)

    @property
    def stage(self) -> tuple[Settings, Database, Places]:
        """What a stage is made with."""
        return self.settings, self.database, self.places

    def write(self, records: Sequence[dict[str, Any]]) -> list[Segment]:
        """Append records to a journal of their own; return its sealed segments, indexed."""
        journal = Journal(self.settings)
        for payload in encoded(records):
            journal.append(payload)
        journal.close()
        found = [one for one in segments(self.places.journal) if one.writer == journal.writer]
        for segment in found:
            self.index(segment)
        return found

    def index(self, segment: Segment) -> None:
        """Take a segment into the database, as the shipper's first stage does."""
        chunk = read(segment, 0, 1 << 30)
        with self.database.begin() as connection:
            records = [parse(entry.payload) for entry in chunk.records]
            index.add(connection, records, segment, chunk.next_offset, chunk.damaged)

    def totals(self) -> dict[str, int]:
        """Return the counters."""
        with self.database.reading() as connection:
            return index.totals(connection)

    def stored(self) -> list[bool]:
        """Return for each segment known whether it is stored."""
        with self.database.reading() as connection:
            return [progress.stored for progress in index.all_progress(connection).values()]


@contextmanager
def opened(settings: Settings) -> Iterator[Ledger]:
    """Open a ledger for the block."""
    ledger = Ledger(settings)
    try:
        yield ledger
    finally:
        ledger.database.close()


def exhaust(stage: Stage) -> None:
    """Let a stage do all it has to do; an error is the caller's."""
    until = time.monotonic() + PATIENCE
    while stage.step():
        assert time.monotonic() < until


def runs_of(settings: Settings) -> dict[tuple[str, str, str], Any]:
    """Return the serving runs in MLflow by model, version and day; each is there once."""
    destination = Destination(settings)
    found = destination.client().search_runs([destination.experiment_id()], max_results=1000)
    keys = [tuple(run.data.tags[name] for name in (MODEL, VERSION, DAY)) for run in found]
    assert max(Counter(keys).values(), default=1) == 1, keys
    return dict(zip(keys, found, strict=True))  # type: ignore[arg-type]


def tables_of(settings: Settings, folder: Path) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Download the Parquet parts of each serving run as anyone would, and read each folder."""
    import mlflow

    found = {}
    for key, run in runs_of(settings).items():
        place = mlflow.artifacts.download_artifacts(
            run_id=run.info.run_id,
            artifact_path="predictions",
            dst_path=str(folder / run.info.run_id),
            tracking_uri=settings.tracking_uri,
        )
        found[key] = pd.read_parquet(place)
    return found


def ids_of(tables: dict[tuple[str, str, str], pd.DataFrame]) -> list[str]:
    """Return the ids in all tables, sorted, as often as they are there."""
    return sorted(name for table in tables.values() for name in table["prediction_id"])


def child(settings: Settings, script: str) -> "subprocess.Popen[str]":
    """Run a script in a process of its own; `settings` is the same there."""
    head = (
        "from services.core.settings import Settings\n"
        f"settings = Settings.model_validate_json({settings.model_dump_json()!r})\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + script],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
