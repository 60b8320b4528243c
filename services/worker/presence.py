"""Who is there: the row of this worker in the database.

A child writes it, not the parent: that must not open the database, see `Child`.
"""

import os
import threading
import time

from services.core.errors import SlipwayError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.ledger.database import workers
from services.ledger.database.opening import Database, open_database
from services.ledger.database.workers import Worker
from services.worker.board import Board
from services.worker.child import Child

_log = get_logger(__name__)
_EVERY = 4.0
_TICK = 1.0
# A worker that has not consumed for so long is not there, whatever else it does.
_SILENT = 30.0


class Presence(threading.Thread):
    """Writes the row, whenever it is time and no other child has."""

    def __init__(self, child: Child, board: Board, worker: Worker) -> None:
        super().__init__(name="presence", daemon=True)
        self._child = child
        self._board = board
        self._worker = worker

    def run(self) -> None:
        """Go on until the process ends."""
        while True:
            if self._board.turn_to_tell(_EVERY):
                self._tell()
            time.sleep(_TICK)

    def _tell(self) -> None:
        if self._board.silence > _SILENT:
            return
        try:
            with self._child.database.begin(durable=False) as connection:
                workers.seen(connection, here(self._worker, self._board.busy))
        except SlipwayError as error:
            _log.debug("presence not written", error=error.message)


def here(worker: Worker, running: int) -> Worker:
    """Return the row of a worker that is there now."""
    return Worker(
        worker.name,
        worker.queue,
        worker.host,
        worker.pid,
        worker.started,
        int(time.time() * 1e6),
        running,
    )


def this_worker(name: str, queue: str) -> Worker:
    """Return the row of a worker that is this process."""
    host = name.partition("@")[2]
    now = int(time.time() * 1e6)
    return Worker(name, queue, host, os.getpid(), now, now)


def gone(settings: Settings, name: str) -> None:
    """Remove the row of a worker that ends; called when it has no children any more."""
    database: Database | None = None
    try:
        database = open_database(settings)
        with database.begin(durable=False) as connection:
            workers.gone(connection, name)
    except SlipwayError as error:
        _log.debug("presence not taken back", error=error.message)
    finally:
        if database is not None:
            database.close()
