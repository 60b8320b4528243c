"""What keeps the whole in order: Celery tasks of the queue `upkeep`, sent by the beat.

They run in threads of one process: they wait for the network and the database most of the time,
use no model, and none may hold up another, as a slow receiver of webhooks would in a single one.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from celery import Celery

from services.core.errors import SlipwayError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.jobs.names import UPKEEP_PREFIX
from services.ledger.database import jobs, workers
from services.ledger.database.job_rows import CANCELED
from services.worker.board import Board
from services.worker.child import Child
from services.worker.health import LOOKS, Found

_log = get_logger(__name__)
Task = Callable[[Child], None]
# Workers that have not been heard of for so long are forgotten.
_FORGET_SECONDS = 3600.0
_DELIVER_SECONDS = 10.0


def register(app: Celery, child: Child, board: Board) -> None:
    """Make tasks of all that is done here."""
    for name, task in TASKS.items():
        app.task(_once_at_a_time(name, task, child, board), name=UPKEEP_PREFIX + name)


def _once_at_a_time(name: str, task: Task, child: Child, board: Board) -> Callable[[], None]:
    running = threading.Lock()

    def run() -> None:
        board.taken()
        if not running.acquire(blocking=False):
            return
        try:
            task(child)
        except SlipwayError as error:
            # It comes again, soon.
            _log.warning("upkeep put off", task=name, error=error.message)
        finally:
            running.release()

    run.__name__ = name
    return run


def deliver(child: Child) -> None:
    """Send the webhooks that are due."""
    from services.jobs import webhooks

    # As long as there are some: one look takes a few dozen.
    until = time.monotonic() + _DELIVER_SECONDS
    while webhooks.deliver_due(child.settings, child.database) and time.monotonic() < until:
        pass


def sweep(child: Child) -> None:
    """Remove what has had its time: ended jobs, their blobs, workers that are gone."""
    from services.jobs import expiry

    expiry.sweep(child.settings, child.database, child.blobs)
    before = int((time.time() - _FORGET_SECONDS) * 1e6)
    with child.database.begin(durable=False) as connection:
        workers.forget(connection, before)


def check(child: Child) -> None:
    """Look at every part of the system, and write down what was found."""
    found = {name: look(child) for name, look in LOOKS.items()}
    now = int(time.time() * 1e6)
    with child.database.begin(durable=False) as connection:
        for name, one in found.items():
            if isinstance(one, Found):
                workers.checked(connection, name, one.status, one.detail, one.seconds, now)


def close_trainings(child: Child) -> None:
    """End the runs in MLflow of trainings whose worker was lost for good."""
    settings = child.settings
    if settings.mlflow_tracking_uri is None:
        return
    from services.training import recovery

    def ended(job_id: str) -> str | None:
        with child.database.reading() as connection:
            job = jobs.get(connection, job_id)
        if job is not None and not job.ended:
            return None
        return "KILLED" if job is not None and job.state == CANCELED else "FAILED"

    recovery.close_left(settings, ended)


def drift(child: Child) -> None:
    """Look whether the versions that serve are still asked what they were trained on."""
    if child.settings.mlflow_tracking_uri is not None:
        child.drift.turn()


def quality(child: Child) -> None:
    """Compute the live quality of the versions that there is new feedback about."""
    from services.monitoring.quality import turn

    turn(child.settings, child.database, child.families)


TASKS: dict[str, Task] = {
    "deliver": deliver,
    "sweep": sweep,
    "check": check,
    "close_trainings": close_trainings,
    "drift": drift,
    "quality": quality,
}
# Seconds between two of each; DRIFT_EVERY says it for the rest.
EVERY: dict[str, float] = {
    "deliver": 2.0,
    "check": 15.0,
    "quality": 15.0,
    "close_trainings": 300.0,
    "sweep": 3600.0,
}


def schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return what the beat sends; what nobody took until the next is due is not sent twice."""
    times = EVERY | ({"drift": settings.drift_every} if settings.drift_every else {})
    return {
        name: {
            "task": UPKEEP_PREFIX + name,
            "schedule": every,
            "options": {"queue": "upkeep", "expires": max(every, 10.0)},
        }
        for name, every in times.items()
    }
