"""A histogram's buckets, and what can be said of the values in them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Distribution:
    """Observed values, as Prometheus keeps them.

    Attributes:
        count: how many.
        total: their sum.
        buckets: upper bound (the last is infinite) and how many values are at most that, ascending.
    """

    count: int
    total: float
    buckets: tuple[tuple[float, float], ...]

    @property
    def mean(self) -> float | None:
        """The mean; None without values."""
        return self.total / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """Estimate the value below which a share (0 to 1) of all values lies.

        Values are taken as spread evenly within their bucket, from 0 in the first. What lies
        beyond the last finite bound is given as that bound, so the estimate is then too low.
        None without values.
        """
        if not self.count:
            return None
        rank = share * self.count
        below, lower = 0.0, 0.0
        for bound, within in self.buckets:
            if math.isinf(bound):
                break
            if within >= rank and within > below:
                part = max(0.0, rank - below) / (within - below)
                return lower + (bound - lower) * part
            below, lower = within, bound
        return lower


def merged(several: Iterable[Distribution]) -> Distribution:
    """Return the distribution of all values together; all must have the same bounds."""
    count, total = 0, 0.0
    sums: dict[float, float] = {}
    for one in several:
        count += one.count
        total += one.total
        for bound, within in one.buckets:
            sums[bound] = sums.get(bound, 0.0) + within
    return Distribution(count, total, tuple(sorted(sums.items())))
