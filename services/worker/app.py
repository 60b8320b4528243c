"""A worker of one queue: Celery's app and pool, and what is opened in each of its children."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery import Celery, signals

from services.core.logging import get_logger
from services.core.settings import Settings
from services.engine.memory import available, budget
from services.jobs.celery_app import make_app
from services.jobs.names import INTERACTIVE, RUN, TRAINING, UPKEEP
from services.worker import alive
from services.worker.alive import PACE, Pace, Pulse
from services.worker.board import Board
from services.worker.child import Child, worker_name
from services.worker.controller import Worker

if TYPE_CHECKING:
    from services.families.base import Family
    from services.worker.running import Runner

_log = get_logger(__name__)
# Threads of the upkeep worker: one for each task that may wait for somebody else at a time.
_UPKEEP_THREADS = 4
# Kilobytes. A child that has grown beyond this after a job is replaced: a leak of a model's library
# must not take the machine. All of them together; the models' own budget keeps well below.
_MOST_MEMORY = 0.75
# Two lines for each message, which is no more than a wake-up.
_CHATTER = ("celery.worker.strategy", "celery.app.trace")
# Warns of a message whose consumer has just gone, as may be that of messages to oneself.
_KOMBU = "kombu.transport.virtual.base"


def make_worker(
    settings: Settings,
    queue: str,
    *,
    concurrency: int | None = None,
    families: "Mapping[str, Family] | None" = None,
    pace: Pace = PACE,
) -> Worker:
    """Return a worker of one queue, which `start` runs until it is told to stop.

    Args:
        concurrency: jobs at once, each in a process of its own.
        families: instead of those of `services.families`.

    Raises:
        ConfigurationError: REDIS_URL is empty, or no address of Redis.
    """
    app = make_app(settings)
    name = worker_name(queue)
    count = _UPKEEP_THREADS if queue == UPKEEP else concurrency or _default(settings, queue)
    app.conf.update(_own(queue, count))
    board = Board(count)
    signals.setup_logging.connect(_logging_is_set_up, weak=False)
    for logger in _CHATTER:
        logging.getLogger(logger).setLevel(logging.WARNING)
    logging.getLogger(_KOMBU).addFilter(lambda said: alive.PREFIX not in said.getMessage())
    if queue == UPKEEP:
        _do_upkeep(app, settings, name, board)
    else:
        _do_jobs(app, _shared(settings, count), name, queue, board, families)
    app.steps["consumer"].add(alive.step(name, board))
    worker = Worker(
        app=app,
        hostname=name,
        queues=[queue],
        pool="threads" if queue == UPKEEP else "prefork",
        concurrency=count,
        optimization="fair",
        loglevel=settings.effective_log_level,
        quiet=True,
        # They tell workers of each other, which ours need not know.
        without_mingle=True,
        without_gossip=True,
    )
    worker.board = board
    _pulse(app, settings, name, queue, worker, pace)
    return worker


def _own(queue: str, count: int) -> dict[str, Any]:
    """Return what a worker sets beyond what every app has."""
    return {
        "worker_consumer": "services.worker.controller:Consumer",
        # What a child that died was at stands in the database; there is nothing to wait for.
        "worker_lost_wait": 0.1,
        # A connection that came back takes as much as one that was never lost.
        "worker_enable_prefetch_count_reduction": False,
        # A training leaves its library's threads, caches and accelerator's memory behind: each
        # has a process of its own. Elsewhere that would load the models again.
        "worker_max_tasks_per_child": 1 if queue == TRAINING else None,
        "worker_max_memory_per_child": int(available() * _MOST_MEMORY / count / 1024),
    }


def _default(settings: Settings, queue: str) -> int:
    # One batch or training takes every core as it is.
    return settings.worker_concurrency if queue == INTERACTIVE else 1


def _shared(settings: Settings, count: int) -> Settings:
    """Return the settings of one of several children, which share the memory for models."""
    return settings.model_copy(update={"memory_budget": budget(settings.memory_budget) // count})


def _do_jobs(
    app: Celery,
    settings: Settings,
    name: str,
    queue: str,
    board: Board,
    families: "Mapping[str, Family] | None",
) -> None:
    here: list[Runner] = []
    _preload()
    from services.worker.opening import open_child
    from services.worker.presence import this_worker

    about = this_worker(name, queue)

    def started(**_: Any) -> None:
        """Runs in a child, right after the fork."""
        here.append(open_child(settings, about, board, families))

    def stopped(**_: Any) -> None:
        if here:
            here[0].close()

    def run(id: str, queue: str) -> None:
        here[0].run(id)

    signals.worker_process_init.connect(started, weak=False)
    signals.worker_process_shutdown.connect(stopped, weak=False)
    app.task(run, name=RUN)


def _do_upkeep(app: Celery, settings: Settings, name: str, board: Board) -> None:
    from services.worker.presence import Presence, this_worker
    from services.worker.upkeep import register

    child = Child(settings, name)
    register(app, child, board)

    def started(**_: Any) -> None:
        Presence(child, board, this_worker(name, UPKEEP)).start()

    signals.worker_ready.connect(started, weak=False)


def _pulse(
    app: Celery, settings: Settings, name: str, queue: str, worker: Worker, pace: Pace
) -> None:
    def leave() -> None:
        """The last thing that is done, once there are no children any more."""
        pulse.close()
        from services.worker.presence import gone

        gone(settings, name)

    pulse = Pulse(app, settings, name, queue, worker.board, pace, leave)
    worker.leaving = leave
    signals.worker_ready.connect(lambda **_: pulse.start(), weak=False)
    signals.worker_shutdown.connect(lambda **_: leave(), weak=False)


def _preload() -> None:
    """Import what every child needs, once, before they are forked: they share its memory.

    No model's library is among it: torch has threads, which a fork would leave behind.
    """
    import services.jobs.notices
    import services.jobs.results
    import services.ledger.database.opening
    import services.worker.running  # noqa: F401


def _logging_is_set_up(**_: Any) -> None:
    """Keep Celery from setting up logs of its own."""
