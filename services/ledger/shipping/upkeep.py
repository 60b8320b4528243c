"""Retention and other upkeep, once an hour; `apply` does all of it at once for the command line."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from services.core import embedded
from services.core.errors import RegistryUnavailableError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.ledger import blobs
from services.ledger.database import retention
from services.ledger.database.opening import Database
from services.ledger.database.tables import predictions
from services.ledger.places import Places
from services.ledger.shipping import expiry
from services.ledger.shipping.destination import Destination

_log = get_logger(__name__)
_EVERY_SECONDS = 3600.0
_FIRST_SECONDS = 60.0
_ROWS = 5000
# Rows of an index that are looked at: milliseconds instead of seconds, and near enough.
_ANALYSIS = "PRAGMA analysis_limit=1000"
_BUSY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Applied:
    """What one kind of upkeep did, or would do: `count` things went or were looked after."""

    what: str
    count: int
    detail: str = ""


class Tasks:
    """Each kind of upkeep as a method: a piece of it, or only a count where it is a dry run.

    Each returns what was done and whether there is more of it.
    """

    def __init__(
        self, settings: Settings, database: Database, places: Places, *, dry_run: bool = False
    ) -> None:
        self._settings = settings
        self._database = database
        self._places = places
        self._destination = Destination(settings)
        self._dry_run = dry_run

    def all(self) -> list[Callable[[], tuple[Applied, bool]]]:
        """Return every kind; those that need no MLflow first."""
        return [
            self.blobs, self.rows, self.ledger_statistics,
            self.finished, self.traces, self.parts, self.mlflow_statistics,
        ]  # fmt: skip

    def blobs(self) -> tuple[Applied, bool]:
        """Pictures and large values beside the journal."""
        files, size = blobs.prune(
            self._places, self._settings.ledger_blob_days, self._settings.ledger_blob_bytes,
            dry_run=self._dry_run,
        )  # fmt: skip
        return Applied("blobs", files, f"{size} bytes" if files else ""), False

    def rows(self) -> tuple[Applied, bool]:
        """Predictions that can be looked up."""
        days, rows, now = (
            self._settings.ledger_keep_days, self._settings.ledger_keep_rows, time.time()
        )  # fmt: skip
        with self._database.begin() as connection:
            if not self._dry_run:
                count = retention.prune(connection, days, rows, now, _ROWS)
                return Applied("rows", count), count >= _ROWS
            total = connection.scalar(select(func.count()).select_from(predictions)) or 0
            old = 0
            if days:
                before = int((now - days * 86_400) * 1e6)
                old = connection.scalar(
                    select(func.count()).where(predictions.c.time < before)
                ) or 0  # fmt: skip
        return Applied("rows", max(old, total - rows if rows else 0)), False

    def ledger_statistics(self) -> tuple[Applied, bool]:
        """What SQLite knows of its own tables, so that it asks the right index."""
        if not self._database.is_sqlite:
            return Applied("ledger statistics", 0, "PostgreSQL looks after its own"), False
        if not self._dry_run:
            with self._database.begin() as connection:
                connection.exec_driver_sql(_ANALYSIS)
                connection.exec_driver_sql("ANALYZE")
        return Applied("ledger statistics", 1), False

    def finished(self) -> tuple[Applied, bool]:
        """Serving runs of days gone by."""
        found = expiry.past_runs(self._destination, datetime.now(UTC))
        for run in [] if self._dry_run else found:
            expiry.finish_run(self._destination, run)
        return Applied("finished runs", len(found)), bool(found) and not self._dry_run

    def traces(self) -> tuple[Applied, bool]:
        """Traces in MLflow."""
        days, now = self._settings.ledger_trace_days, datetime.now(UTC)
        if not days:
            return Applied("traces", 0, "kept for good"), False
        if self._dry_run:
            count = expiry.count_traces(self._destination, days, now)
            return Applied("traces", count, _or_more(count)), False
        count = expiry.delete_traces(self._destination, days, now)
        return Applied("traces", count), count > 0

    def parts(self) -> tuple[Applied, bool]:
        """Serving runs with their Parquet parts and pictures."""
        days, now = self._settings.ledger_parquet_days, datetime.now(UTC)
        if not days:
            return Applied("serving runs", 0, "kept for good"), False
        found = expiry.expired_runs(self._destination, days, now)
        if self._dry_run:
            return Applied("serving runs", len(found), "or more" if found else ""), False
        kept = [
            run.info.run_id
            for run in found
            if not expiry.delete_run(self._settings, self._destination, self._database, run)
        ]
        detail = f"`mlflow gc` has to delete the files of {', '.join(kept)}" if kept else ""
        return Applied("serving runs", len(found), detail), bool(found)

    def mlflow_statistics(self) -> tuple[Applied, bool]:
        """The same as `ledger_statistics` for the embedded MLflow, which leaves it undone."""
        what = "MLflow statistics"
        path = _embedded_database(self._settings)
        if path is None:
            return Applied(what, 0, "not the embedded MLflow"), False
        if not self._dry_run:
            try:
                with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
                    connection.execute(_ANALYSIS)
                    connection.execute("ANALYZE")
            except sqlite3.Error as error:
                raise RegistryUnavailableError(
                    f"The embedded MLflow's database is not free: {error}."
                ) from error
        return Applied(what, 1), False


class Upkeep:
    """The stage: everything once an hour, a piece at each step.

    Args:
        first_seconds: from the start until the first time.
    """

    name = "upkeep"

    def __init__(
        self,
        settings: Settings,
        database: Database,
        places: Places,
        *,
        first_seconds: float = _FIRST_SECONDS,
    ) -> None:
        self._tasks = Tasks(settings, database, places)
        self._due = time.monotonic() + first_seconds
        self._left: list[Callable[[], tuple[Applied, bool]]] = []
        self._counts: dict[str, int] = {}

    def step(self) -> bool:
        """Do a piece of what is due; return whether there is more.

        Raises:
            SlipwayError: that one cannot be done now; the others are tried before it is again.
        """
        if not self._left:
            if time.monotonic() < self._due:
                return False
            self._left = self._tasks.all()
        task = self._left.pop(0)
        try:
            applied, more = task()
        except Exception:
            self._left.append(task)
            raise
        if applied.count:
            _log.debug("upkeep", what=applied.what, count=applied.count, detail=applied.detail)
        self._counts[applied.what] = self._counts.get(applied.what, 0) + applied.count
        if more:
            self._left.insert(0, task)
        if not self._left:
            self._due = time.monotonic() + _EVERY_SECONDS
        return bool(self._left)

    def status(self) -> dict[str, Any]:
        """Return `upkeep`: what was done since this process began."""
        return {"upkeep": dict(self._counts)}

    def close(self) -> None:
        """Nothing to let go of."""


def apply(
    settings: Settings, database: Database, places: Places, *, dry_run: bool = False
) -> list[Applied]:
    """Do all upkeep now, whatever the hour; return what was done of each kind.

    Args:
        dry_run: only count what would go; a long count ends early and says so.

    Raises:
        RegistryUnavailableError: MLflow does not answer as it should.
        LedgerUnavailableError: the database does not.
    """
    found = []
    for task in Tasks(settings, database, places, dry_run=dry_run).all():
        count, details, more = 0, [], True
        while more:
            applied, more = task()
            count += applied.count
            details += [applied.detail] if applied.detail else []
        found.append(Applied(applied.what, count, "; ".join(details)))
    return found


def _embedded_database(settings: Settings) -> Path | None:
    """Return the file of the embedded MLflow's database, if that is the MLflow in use."""
    server = embedded.running(settings.data_dir)
    own = {embedded.database_uri(settings.data_dir)} | ({server.uri} if server else set())
    path = embedded.folder(settings.data_dir) / "mlflow.db"
    return path if settings.tracking_uri in own and path.exists() else None


def _or_more(count: int) -> str:
    return "or more" if count >= expiry.MOST_COUNTED else ""
