"""Read metrics by name and labels, out of what a Prometheus registry collects."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from services.monitoring.distribution import Distribution

Key = tuple[str, ...]


class Series:
    """All samples of one moment."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._samples: dict[str, list[Sample]] = {}
        for family in families:
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append(sample)

    def value(self, name: str) -> float | None:
        """Return the sum over all labels; None if there is no such metric."""
        found = self._samples.get(name)
        return None if found is None else sum(sample.value for sample in found)

    def by(
        self, name: str, *labels: str, where: Callable[[Mapping[str, str]], bool] | None = None
    ) -> dict[Key, float]:
        """Return sums by the values of some labels, the others added up."""
        sums: dict[Key, float] = {}
        for sample in self._samples.get(name, ()):
            if where is None or where(sample.labels):
                key = tuple(sample.labels[label] for label in labels)
                sums[key] = sums.get(key, 0.0) + sample.value
        return sums

    def labels(self, name: str) -> Sequence[Mapping[str, str]]:
        """Return the labels of each sample."""
        return [sample.labels for sample in self._samples.get(name, ())]

    def distributions(self, name: str, *labels: str) -> dict[Key, Distribution]:
        """Return a histogram by the values of some labels, the others added up."""
        counts = self.by(f"{name}_count", *labels)
        sums = self.by(f"{name}_sum", *labels)
        buckets: dict[Key, dict[float, float]] = {}
        for (*key, bound), within in self.by(f"{name}_bucket", *labels, "le").items():
            buckets.setdefault(tuple(key), {})[float(bound)] = within
        return {
            key: Distribution(int(count), sums[key], tuple(sorted(buckets[key].items())))
            for key, count in counts.items()
        }
