"""The baselines of registered versions, read from MLflow once."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from services.core.errors import CheckpointError, NotFoundError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.monitoring.drift.baseline import Baseline
from services.registry import baselines
from services.registry.catalogue import Identity, VersionRef

_log = get_logger(__name__)
# Baselines in memory, a megabyte each at most.
_MOST = 64


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to compare a version with.

    Attributes:
        address: where it lies; None: nobody made one.
        baseline: None where there is none, or none that can be read.
        problem: why not.
    """

    address: str | None
    baseline: Baseline | None = None
    problem: str | None = None


class Baselines:
    """Remembers those that were asked for last. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._without: set[Identity] = set()
        self._lock = threading.Lock()

    def of(self, ref: VersionRef) -> Known:
        """Return the baseline of a version.

        Raises:
            RegistryUnavailableError: MLflow does not answer.
        """
        address = ref.tags.get(baselines.TAG) or self._inherited(ref)
        if address is None:
            return Known(None)
        with self._lock:
            known = self._known.get(address)
        if known is None:
            known = self._read(address)
            with self._lock:
                self._known[address] = known
                while len(self._known) > _MOST:
                    self._known.popitem(last=False)
        return known

    def _inherited(self, ref: VersionRef) -> str | None:
        """Ask the run, once: a version registered by other hands lacks the tag, and gets it."""
        if ref.identity in self._without:
            return None
        found = baselines.inherited(self._settings, ref)
        if found is None:
            self._without.add(ref.identity)
            return None
        try:
            baselines.tag(self._settings, ref, {baselines.TAG: found})
        except NotFoundError:
            return None
        return found

    def _read(self, address: str) -> Known:
        try:
            data = baselines.get(self._settings, address)
            return Known(address, Baseline.from_bytes(data))
        except CheckpointError as error:
            _log.warning("a baseline cannot be read", address=address, error=error.message)
            return Known(address, problem=error.message)
