"""Brings the metrics of a process that shares them up to date, for nobody asks that process."""

import threading
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry

from services.core.logging import get_logger
from services.core.metering import folding
from services.core.metering.sharing import share, shared
from services.core.metering.vitals import Vitals

_log = get_logger(__name__)
# Seconds; half a scrape's interval at the very most.
_EVERY = 1.0
_CLOSE_SECONDS = 2.0


class Settles(Protocol):
    """Something that gathers values and puts them into its metrics when it is told to."""

    def settle(self) -> None:
        """Do so now; called by any thread."""


class Reporter:
    """A thread that settles every second. What a killed process had gathered since is lost."""

    def __init__(self, *first: Settles) -> None:
        self._all = list(first)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def add(self, one: Settles) -> None:
        """Settle this, too."""
        self._all.append(one)

    def settle(self) -> None:
        """Bring everything up to date."""
        for one in list(self._all):
            try:
                one.settle()
            except Exception:
                # Metrics are no reason for anything else to fail.
                _log.exception("metrics are not up to date")

    def close(self) -> None:
        """Settle for the last time."""
        self._ending.set()
        self._thread.join(_CLOSE_SECONDS)
        self.settle()

    def _run(self) -> None:
        while not self._ending.wait(_EVERY):
            self.settle()


def report(program: str, folder: Path | None) -> Reporter | None:
    """Begin to keep this process's metrics in a shared folder; None where there is none.

    Comes first in a process, and first in a child after a fork. What processes that have ended
    left is folded, so that the folder stays small where nobody scrapes.
    """
    if not share(folder):
        return None
    sweep()
    return Reporter(Vitals(program, CollectorRegistry()))


def sweep() -> None:
    """Fold what ended processes have left in the shared folder, if there is one."""
    folder = shared()
    if folder is not None:
        folding.fold(folder)
