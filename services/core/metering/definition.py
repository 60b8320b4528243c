"""What a metric is: one `Definition` makes it, explains it, and checks who uses it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric

Type = Literal["counter", "gauge", "histogram", "summary"]
# How the values of several processes become one; a process that has ended no longer counts.
Across = Literal["livesum", "livemax", "livemin"]


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric.

    Attributes:
        name: as it is exposed; a counter's ends in `_total`.
        type: Prometheus' word.
        text: what it says, one sentence; also the `# HELP` line.
        labels: their names, in order.
        source: where the values come from, for `docs/metrics.md`.
        unit: what one is; found in the name where it is left out.
        buckets: of a histogram, upper bounds, ascending.
        across: of a gauge that processes keep, see `Across`.
        sparse: series that are 0 are not exposed.
    """

    name: str
    type: Type
    text: str
    labels: tuple[str, ...] = ()
    source: str = ""
    unit: str = ""
    buckets: tuple[float, ...] = ()
    across: Across = "livesum"
    sparse: bool = False

    def counter(self, registry: CollectorRegistry) -> Counter:
        """Return the counter, kept by this process."""
        self._check("counter")
        return Counter(self.name, self.text, self.labels, registry=registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        """Return the gauge, kept by this process."""
        self._check("gauge")
        return Gauge(
            self.name, self.text, self.labels, registry=registry, multiprocess_mode=self.across
        )

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """Return the histogram, kept by this process."""
        self._check("histogram")
        return Histogram(self.name, self.text, self.labels, registry=registry, buckets=self.buckets)

    def family(self, samples: Iterable[tuple[tuple[str, ...], float]] = ()) -> Metric:
        """Return the metric for a collector that is asked at each scrape.

        Args:
            samples: the labels' values in order, and the value.
        """
        make = CounterMetricFamily if self.type == "counter" else GaugeMetricFamily
        made: CounterMetricFamily | GaugeMetricFamily = make(
            self.name, self.text, labels=self.labels
        )
        for labels, value in samples:
            made.add_metric(labels, value)
        return cast(Metric, made)

    def value(self, value: float) -> Metric:
        """Return the metric without labels."""
        return self.family([((), value)])

    def summary(self, samples: Iterable[tuple[tuple[str, ...], int, float]]) -> Metric:
        """Return a summary without quantiles: the labels' values, how many, and their sum."""
        self._check("summary")
        made = SummaryMetricFamily(self.name, self.text, labels=self.labels)
        for labels, count, total in samples:
            made.add_metric(labels, count, total)
        return made

    def _check(self, wanted: Type) -> None:
        if self.type != wanted:
            raise TypeError(f"{self.name} is a {self.type}")
