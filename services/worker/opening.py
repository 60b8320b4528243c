"""A child's first steps."""

import gc
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING

from billiard.process import current_process

from services.core.metering.reporting import report
from services.core.metering.vitals import worker
from services.core.settings import Settings
from services.ledger.database.workers import Worker
from services.worker.board import Board
from services.worker.child import Child
from services.worker.presence import Presence
from services.worker.running import Runner

if TYPE_CHECKING:
    from services.families.base import Family

# As in the gateway: among its objects a collection finds nothing to collect.
_COLLECT_AFTER = 20_000


def open_child(
    settings: Settings,
    about: Worker,
    board: Board,
    families: "Mapping[str, Family] | None",
) -> Runner:
    """Make ready what does jobs in this process.

    Args:
        about: the worker that it is a child of.
    """
    # The parent alone decides when a child ends; a signal to the whole group is meant for it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    gc.set_threshold(_COLLECT_AFTER)
    slot = getattr(current_process(), "index", 0)
    # The parent's files stay the parent's.
    reporter = report(worker(about.queue), settings.prometheus_multiproc_dir)
    child = Child(settings, about.name, families, slot, reporter)
    # Whatever was there before at this place is no more.
    board.end(slot)
    Presence(child, board, about).start()
    return Runner(child, board)
