"""A shipper inside the gateway, for one that runs alone."""

import threading

from services.core.logging import get_logger
from services.core.settings import Settings

_log = get_logger(__name__)
_DELAY_SECONDS = 10.0


class ShipperThread:
    """Ships in the background of this process, unless a process of its own does that.

    Args:
        delay_seconds: before it looks whether another one ships: a process shall be first.
    """

    def __init__(self, settings: Settings, *, delay_seconds: float = _DELAY_SECONDS) -> None:
        self._settings = settings
        self._delay = delay_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-shipper", daemon=True)

    def start(self) -> None:
        """Begin, without waiting for anything."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Tell it to end, and wait for that; return whether it has."""
        self._stop.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            if not self._stop.wait(self._delay):
                # Libraries of databases: the gateway begins without them.
                from services.ledger.shipping.shipper import Shipper

                Shipper(self._settings).run(self._stop)
        except Exception:
            # Predictions go on; their records wait in the journal.
            _log.exception("the shipper has died")
