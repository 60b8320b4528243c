"""A worker of the no-op family as a process of its own: `python -m tests.support.serve_jobs QUEUE`.

Settings come from the environment, and so does what makes it quicker or sick: SILENCE (seconds
until a worker that consumes nothing ends itself), DEAF (a file: while it is there, the event loop
of the parent process stands still).
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from celery import signals

from services.core.settings import Settings
from services.worker import __main__ as door
from services.worker import alive, app
from services.worker.controller import Worker
from tests.support.no_op import NAME, NoOpFamily


def deaf(sender: Any, **_: Any) -> None:
    """Hold Celery's event loop up for as long as the file is there."""
    gate = Path(os.environ["DEAF"])

    def hold() -> None:
        while gate.exists():
            time.sleep(0.05)

    sender.timer.call_repeatedly(0.2, hold)


def main() -> int:
    silence = float(os.environ.get("SILENCE", 0))
    if not silence:
        return door.main(sys.argv[1:], {NAME: NoOpFamily()})

    def hurried(settings: Settings, queue: str, **options: Any) -> Worker:
        """Return the real worker, only in more of a hurry."""
        signals.worker_ready.connect(deaf, weak=False)
        pace = alive.Pace(silence / 6, silence)
        return app.make_worker(settings, queue, pace=pace, **options)

    return door.main(sys.argv[1:], {NAME: NoOpFamily()}, hurried)


if __name__ == "__main__":
    sys.exit(main())
