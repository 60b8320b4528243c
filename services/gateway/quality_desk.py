"""Live quality: its metrics; and where no worker computes it, the gateway does so, in a thread."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from services.core.errors import SlipwayError
from services.core.logging import get_logger
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.families.base import Family
from services.gateway.ledger_desk import LedgerDesk
from services.monitoring import quality
from services.monitoring.quality_collector import QualityCollector

if TYPE_CHECKING:
    from services.ledger.database.judgements import Quality
    from services.ledger.questions import Connection

_log = get_logger(__name__)
_LONGEST = 60.0
_PATIENCE = 2.0


class QualityDesk:
    """Takes a turn every few seconds, from `start` to `close`."""

    def __init__(
        self,
        settings: Settings,
        families: Mapping[str, Family],
        ledger: LedgerDesk,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._families = families
        self._ledger = ledger
        self._task: asyncio.Task[None] | None = None
        self._collector = QualityCollector(settings) if ledger.recording else None
        if self._collector is not None:
            metrics.registry.register(self._collector)

    def start(self) -> None:
        """Begin, unless workers do it or nothing is recorded."""
        if self._ledger.recording and not self._ledger.keeps_jobs:
            self._task = asyncio.create_task(self._turns(), name="quality")

    async def of(self, model: str) -> list[dict[str, Any]]:
        """Return the quality of a model's versions, as JSON values; nothing where it is not known
        at once.
        """
        if not self._ledger.recording:
            return []
        try:
            found = await self._ledger.read(partial(_of, model=model), _PATIENCE)
        except SlipwayError:
            return []
        return [
            {
                "version": one.version,
                "samples": one.samples,
                "metrics": one.metrics if one.samples else {},
                "reference": one.reference or {},
            }
            for one in found
        ]

    async def close(self) -> None:
        """End; a turn that is under way is left to itself."""
        if self._collector is not None:
            self._collector.close()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _turns(self) -> None:
        while True:
            await asyncio.sleep(quality.EVERY)
            try:
                await self._ledger.run(
                    lambda database: quality.turn(self._settings, database, self._families),
                    _LONGEST,
                )
            except SlipwayError as error:
                _log.warning("quality put off", error=error.message)
            except Exception as error:  # the next turn may go better
                _log.error("quality failed", error=repr(error)[:200])


def _of(connection: "Connection", model: str) -> "list[Quality]":
    # Here, in the thread: the import would hold up the loop.
    from services.ledger.database.judgements import all_qualities

    return all_qualities(connection, model)
