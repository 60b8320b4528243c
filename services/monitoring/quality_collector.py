"""Live quality, read from the ledger's database when somebody asks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.core.settings import Settings
from services.ledger.glimpse import Glimpse
from services.monitoring.quality_metrics import (
    COMPUTED,
    FEEDBACK,
    QUALITY,
    REFERENCE,
    SAMPLES,
    UNCOUNTED,
)
from services.monitoring.verdict import REASONS

if TYPE_CHECKING:
    from services.ledger.database.judgements import Quality
    from services.ledger.database.statements import Connection

_KINDS = ("feedback", "expectation")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the database says: the quality of each version, and how much feedback came."""

    qualities: "tuple[Quality, ...]" = ()
    counts: Mapping[tuple[str, str, str], int] = field(default_factory=dict)


class QualityCollector(Collector):
    """Metrics of live quality, for a registry of `prometheus_client`; waits for nothing."""

    def __init__(self, settings: Settings) -> None:
        self._glimpse = Glimpse(settings, _read, Seen())

    def describe(self) -> list[Metric]:
        """Return nothing: the names are not looked at when it is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as of the last seconds; of a version without samples no measures."""
        seen = self._glimpse.look()
        judged = [one for one in seen.qualities if one.samples]
        yield QUALITY.family(
            ((one.model, one.version, name), value)
            for one in judged
            for name, value in one.metrics.items()
        )
        yield SAMPLES.family(((one.model, one.version), one.samples) for one in seen.qualities)
        yield REFERENCE.family(
            ((one.model, one.version, name), value)
            for one in judged
            for name, value in (one.reference or {}).items()
        )
        yield COMPUTED.family(
            ((one.model, one.version), one.computed / 1e6) for one in seen.qualities
        )
        for definition, kinds in ((FEEDBACK, _KINDS), (UNCOUNTED, REASONS)):
            yield definition.family(
                (key, number) for key, number in seen.counts.items() if key[2] in kinds
            )

    def close(self) -> None:
        """Look no more."""
        self._glimpse.close()


def _read(connection: "Connection") -> Seen:
    from services.ledger.database import judgements

    return Seen(tuple(judgements.all_qualities(connection)), judgements.counts(connection))
