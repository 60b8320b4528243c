"""Metrics that are observed thousands of times a second: kept as plain values, put in many at once.

An observation through the library costs about two microseconds, and a prediction has ten of them.
Here it costs an addition or an append; the registry is brought up to date before it is read, and
whenever enough has gathered.
"""

import threading
from collections.abc import Iterable
from typing import Protocol

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.registry import Collector

_ENOUGH = 1024


class _Tally(Protocol):
    def settle(self) -> None: ...


class Tallies(Collector):
    """All tallies of a registry. Reading the registry asks this collector first.

    Any thread may settle, and any may begin a tally.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._all: list[_Tally] = []
        self._lock = threading.Lock()
        registry.register(self)

    def histogram(self, series: Histogram) -> "Observations":
        """Return the tally of a histogram's series (one whose labels are all given)."""
        tally = Observations(series)
        self.add(tally)
        return tally

    def counter(self, series: Counter) -> "Count":
        """Return the tally of a counter's series."""
        tally = Count(series)
        self.add(tally)
        return tally

    def add(self, tally: _Tally) -> None:
        """Settle this with the others."""
        with self._lock:
            self._all.append(tally)

    def drop(self, *tallies: _Tally) -> None:
        """Settle tallies for the last time and forget them."""
        for tally in tallies:
            tally.settle()
        with self._lock:
            self._all = [one for one in self._all if one not in tallies]

    def settle(self) -> None:
        """Bring every series up to date."""
        with self._lock:
            tallies = list(self._all)
        for tally in tallies:
            tally.settle()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: this collector has no metrics of its own."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Bring every series up to date."""
        self.settle()
        return ()


class Observations:
    """Values that a histogram has not seen yet. Safe to use from several threads."""

    __slots__ = ("_lock", "_series", "_values")

    def __init__(self, series: Histogram) -> None:
        self._series = series
        self._values: list[float] = []
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        """Take a value."""
        values = self._values
        values.append(value)
        if len(values) >= _ENOUGH:
            self.settle()

    def settle(self) -> None:
        """Put what has gathered into the histogram, as so many single observations would be."""
        with self._lock:
            values = self._values[:]
            # Not `clear`: another thread may have added one since.
            del self._values[: len(values)]
            if not values:
                return
            bounds = self._series._upper_bounds
            places = np.searchsorted(bounds, values, side="left")
            self._series._sum.inc(float(np.sum(values)))
            for place, count in enumerate(np.bincount(places, minlength=len(bounds)).tolist()):
                if count:
                    self._series._buckets[place].inc(count)


class Count:
    """Increments that a counter has not seen yet; made by one thread, settled by any."""

    __slots__ = ("_lock", "_series", "_settled", "_value")

    def __init__(self, series: Counter) -> None:
        self._series = series
        # Each is written by one side only, so that no increment falls between them.
        self._value = 0
        self._settled = 0
        self._lock = threading.Lock()

    def inc(self) -> None:
        """Count one."""
        self._value += 1

    def settle(self) -> None:
        """Put what has gathered into the counter."""
        with self._lock:
            value = self._value
            if value > self._settled:
                self._series.inc(value - self._settled)
                self._settled = value
