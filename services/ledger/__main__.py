"""`python -m services.ledger` takes records to MLflow with the settings of the environment."""

import logging
import os
import signal
import sys
import threading

from services.core.errors import SlipwayError
from services.core.logging import configure_logging, get_logger
from services.core.metering.reporting import report
from services.core.metering.vitals import LEDGER
from services.core.settings import Settings, get_settings
from services.ledger.shipping.shipper import Shipper

_log = get_logger(__name__)
# Over what the shipper itself allows its stages.
_GRACE_SECONDS = 4.0
_POLL_SECONDS = 1.0


def main() -> int:
    """Ship until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = get_settings()
    except SlipwayError as error:
        sys.stderr.write(f"slipway: {error.message}\n")
        return 1
    configure_logging(settings.effective_log_level, settings.log_format)
    # Tells of each plug-in that it loads.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    stop = threading.Event()
    # The signals' handler runs in this thread, which therefore must not wait for the event itself.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    reporter = report(LEDGER, settings.prometheus_multiproc_dir)
    worker = _Worker(settings, stop)
    worker.start()
    while worker.is_alive() and not stop.is_set():
        worker.join(_POLL_SECONDS)
    worker.join(_GRACE_SECONDS)
    if reporter is not None:
        reporter.close()
    if worker.is_alive() or not worker.ended:
        _leave(worker.code)
    return worker.code


class _Worker(threading.Thread):
    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        super().__init__(name="ledger-shipper", daemon=True)
        self._settings = settings
        self._stop_event = stop
        self.ended = False
        self.code = 0

    def run(self) -> None:
        try:
            self.ended = Shipper(self._settings).run(self._stop_event)
        except Exception:
            _log.exception("the shipper has died")
            self.code = 1


def _leave(code: int) -> None:
    """End although threads hang in the network: an orderly exit would wait for some of them.

    What they were about is as after a kill: done again by the next shipper.
    """
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
