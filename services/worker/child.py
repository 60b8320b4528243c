"""One child of a worker: what it needs for its jobs, opened after the fork."""

import logging
import os
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from services.core.settings import Settings

if TYPE_CHECKING:
    from services.core.metering.reporting import Reporter
    from services.core.metrics import Metrics
    from services.engine.engine import Engine
    from services.families.base import Family
    from services.jobs.blobs import Blobs
    from services.jobs.notices import Notices
    from services.ledger.database.opening import Database
    from services.ledger.database.statements import Connection
    from services.monitoring.drift_watch import Watcher
    from services.worker.models import Models

T = TypeVar("T")


class Child:
    """Everything is opened at its first use: a database that is away must not end a process.

    SQLite, too, must be opened after the fork: its locks belong to a process, and a child that
    inherits what its parent knew of them would think that it holds some.

    Args:
        families: those of `services.families`, unless a test brings others.
        slot: which of its parent's children it is.
        reporter: keeps the metrics that are shared with other processes up to date.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        families: "Mapping[str, Family] | None" = None,
        slot: int = 0,
        reporter: "Reporter | None" = None,
    ) -> None:
        self.settings = settings
        self.name = f"{name}/{os.getpid()}"
        self.slot = slot
        self._families = families
        self._reporter = reporter

    @cached_property
    def families(self) -> "Mapping[str, Family]":
        """Those that can be predicted with and trained."""
        from services.families import discover

        return discover() if self._families is None else self._families

    @cached_property
    def database(self) -> "Database":
        """The ledger's.

        Raises:
            LedgerUnavailableError: it is away; the next use tries again.
        """
        from services.ledger.database.opening import open_database

        return open_database(self.settings)

    @cached_property
    def blobs(self) -> "Blobs":
        """Large payloads and results."""
        from services.jobs.blobs import Blobs

        return Blobs(self.settings)

    @cached_property
    def notices(self) -> "Notices":
        """Tells those who wait."""
        from services.jobs.notices import Notices

        return Notices(self.settings)

    @cached_property
    def models(self) -> "Models":
        """The engine, which begins to load now."""
        from services.worker.models import Models

        return Models(self.settings, self.families, self.metrics)

    @cached_property
    def metrics(self) -> "Metrics":
        """What the engine counts; with the first job that predicts."""
        from services.core.metrics import Metrics

        made = Metrics()
        if self._reporter is not None:
            self._reporter.add(made.tallies)
        return made

    @cached_property
    def drift(self) -> "Watcher":
        """Looks at drift, and remembers what it has read.

        Raises:
            LedgerUnavailableError: see `database`.
        """
        from services.monitoring.drift_watch import Watcher

        return Watcher(self.settings, self.families, self.database, self.name)

    @property
    def engine(self) -> "Engine":
        """The engine itself; coroutines of it run by `run`."""
        return self.models.engine

    def run(self, make: "Callable[[Engine], Coroutine[Any, Any, T]]") -> T:
        """Run a coroutine of the engine, and wait for it; see `Models.ask`."""
        return self.models.ask(make)

    def writing(self) -> "AbstractContextManager[Connection]":
        """Write in one transaction.

        Not on the disk before it goes on, unless LEDGER_DURABILITY=strict: a power failure puts a
        job back to where it was queued, so that it is done again, and its result is written once
        all the same. What a killed process has committed stays in any case. That the job was
        accepted is on the disk since before its 202.
        """
        return self.database.begin(durable=self.settings.ledger_durability == "strict")

    def die(self) -> None:
        """End this process now, whatever its threads are at; a new one takes its place."""
        if self._reporter is not None:
            self._reporter.settle()
        logging.shutdown()
        os._exit(1)

    def close(self) -> None:
        """Close what was opened."""
        opened = self.__dict__
        if "models" in opened:
            self.models.close()
        if "database" in opened:
            self.database.close()
        if self._reporter is not None:
            self._reporter.close()


def worker_name(queue: str) -> str:
    """Return the name of this worker process, unlike any other's."""
    return f"{queue}-{os.getpid()}@{socket.gethostname()}"
