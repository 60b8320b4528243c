"""The metrics of all processes that share a folder, as one: what is exposed where they do."""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from services.core.metering import folding
from services.core.metering.definitions import BY_NAME
from services.core.metering.files import File, Key, Keys, names
from services.core.metering.identity import alive

# Folding happens now and then and takes milliseconds.
_TRIES = 5
_Values = dict[Key, list[float]]


class Together(Collector):
    """Adds up the files of a folder. Waits for nobody; several processes may read at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._keys = Keys()
        self._files: dict[str, File] = {}
        self._stamp: object = ()
        self._folded = folding.Folded()
        self._folded_values: _Values = {}
        self._types: dict[Key, str] = {}
        self._values: dict[Key, float] = {}
        self._layout: list[_Family] = []
        self._laid_out = 0

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names are not looked at when it is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; what dead processes have left is folded first."""
        with self._lock:
            folding.fold(self._folder)
            values = self._values = self._steady()
            if len(self._keys) != self._laid_out:
                self._layout = _lay_out(self._types)
                self._laid_out = len(self._keys)
            families = [family.metric(values) for family in self._layout]
        yield from (one for one in families if one.samples)

    def _steady(self) -> dict[Key, float]:
        """Return the values of a moment in which nothing was folded."""
        for _ in range(_TRIES):
            self._load()
            values = self._read()
            if values is not None and folding.stamp(self._folder) == self._stamp:
                return {key: _one(self._types[key], found) for key, found in values.items()}
        # Rather a little old than wrong.
        return self._values

    def _load(self) -> None:
        stamp = folding.stamp(self._folder)
        if stamp == self._stamp:
            return
        self._folded = folding.load(self._folder)
        self._folded_values = {}
        for type_, found in self._folded.values.items():
            for text, parts in found.items():
                key = self._keys.of(text)
                self._types[key] = type_
                self._folded_values[key] = parts
        self._stamp = stamp

    def _read(self) -> _Values | None:
        """Return every process's values; None where a file went meanwhile."""
        found = [one for one in names(self._folder) if one.file not in self._folded.sources]
        living = {owner: alive(owner) for owner in {one.owner for one in found}}
        files: dict[str, File] = {}
        values = {key: list(parts) for key, parts in self._folded_values.items()}
        for name in found:
            # A gauge says how something is, and nothing is any more.
            if name.type == "gauge" and not living[name.owner]:
                continue
            file = files[name.file] = self._files.get(name.file) or File(
                self._folder / name.file, self._keys
            )
            try:
                self._add(values, file.items(), name.across or name.type)
            except FileNotFoundError:
                return None
        self._files = files
        return values

    def _add(self, values: _Values, items: Iterable[tuple[Key, float]], type_: str) -> None:
        types = self._types
        for key, value in items:
            if key in values:
                values[key].append(value)
            else:
                values[key] = [value]
                types[key] = type_


def _one(type_: str, values: list[float]) -> float:
    if len(values) == 1:
        return values[0]
    if type_ == "livemax":
        return max(values)
    return min(values) if type_ == "livemin" else folding.total(values)


class _Family:
    """A metric and the keys of its samples, in the order in which they are exposed."""

    def __init__(self, type_: str, keys: list[Key]) -> None:
        first = keys[0]
        self.name, self._help = first.metric, first.help
        self._type = type_ if type_ in ("counter", "histogram") else "gauge"
        known = BY_NAME.get(self.name)
        self._sparse = known is not None and known.sparse
        self._plain = [] if self._type == "histogram" else keys
        self._distributions = _distributions(keys) if self._type == "histogram" else []

    def metric(self, values: dict[Key, float]) -> Metric:
        """Return the metric with what values there are."""
        made = Metric(self.name, self._help, self._type)
        for key in self._plain:
            value = values.get(key)
            if value is not None and (value or not self._sparse):
                made.samples.append(Sample(key.sample, key.labels, value))
        for one in self._distributions:
            made.samples += one.samples(self.name, values)
        return made


class _Distribution:
    """One histogram: labels, and keys of its buckets by ascending bound."""

    def __init__(self, buckets: list[Key], sum_: Key) -> None:
        self._sum = sum_
        self._buckets = [
            (key, {**sum_.labels, "le": floatToGoString(float(key.labels["le"]))})  # type: ignore[no-untyped-call]
            for key in sorted(buckets, key=lambda key: float(key.labels["le"]))
        ]

    def samples(self, name: str, values: dict[Key, float]) -> list[Sample]:
        """Return its samples; none where no process has it."""
        if self._sum not in values:
            return []
        within, made = 0.0, []
        for key, labels in self._buckets:
            within += values.get(key, 0.0)
            made.append(Sample(f"{name}_bucket", labels, within))
        made.append(Sample(f"{name}_count", self._sum.labels, within))
        made.append(Sample(f"{name}_sum", self._sum.labels, values[self._sum]))
        return made


def _distributions(keys: list[Key]) -> list[_Distribution]:
    buckets: dict[tuple[tuple[str, str], ...], list[Key]] = {}
    sums: dict[tuple[tuple[str, str], ...], Key] = {}
    for key in keys:
        labels = tuple(item for item in key.labels.items() if item[0] != "le")
        if "le" in key.labels:
            buckets.setdefault(labels, []).append(key)
        else:
            sums[labels] = key
    return [_Distribution(buckets.get(labels, []), key) for labels, key in sums.items()]


def _lay_out(types: dict[Key, str]) -> list[_Family]:
    families: dict[str, list[Key]] = {}
    for key in sorted(types, key=lambda key: (key.metric, list(key.labels.values()))):
        families.setdefault(key.metric, []).append(key)
    return [_Family(types[keys[0]], keys) for keys in families.values()]
