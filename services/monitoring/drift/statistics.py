"""The tests themselves: scipy's where it has them. It is imported late, for that takes long."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.monitoring.drift.samples import Matrix, Numbers

Counts = NDArray[np.int64]

_SEED = 7
_PERMUTATIONS = 400
# The chi-square approximation wants about this many in each cell (Cochran).
_LEAST_EXPECTED = 5.0


def stability_index(before: Counts, after: Counts) -> float:
    """Return the population stability index of two histograms over the same cells.

    What it would be on average without any change, (cells - 1) (1/n + 1/m), is taken off, so that
    small windows and large ones can be compared; never below 0.
    """
    cells, n, m = len(before), int(before.sum()), int(after.sum())
    if cells < 2 or not n or not m:
        return 0.0
    # Half a sample more in each cell, so that an empty one is no infinity.
    old = (before + 0.5) / (n + 0.5 * cells)
    new = (after + 0.5) / (m + 0.5 * cells)
    found = float(((new - old) * np.log(new / old)).sum())
    return max(0.0, found - (cells - 1) * (1 / n + 1 / m))


def ks(before: Numbers, after: Numbers) -> tuple[float, float]:
    """Return distance and p-value of the two-sample Kolmogorov-Smirnov test.

    The p-value is that of scipy's limiting distribution, a little too high for small samples.
    `scipy.stats.ks_2samp` takes ten times as long to say nearly the same.
    """
    from scipy.special import kolmogorov  # type: ignore[import-untyped]

    before, after = np.sort(before), np.sort(after)
    everything = np.concatenate([before, after])
    below = np.searchsorted(before, everything, side="right") / len(before)
    distance = np.abs(below - np.searchsorted(after, everything, side="right") / len(after)).max()
    equal = len(before) * len(after) / (len(before) + len(after))
    return float(distance), float(kolmogorov(np.sqrt(equal) * distance))


def chi_square(before: Counts, after: Counts) -> float:
    """Return the p-value of the chi-square test of two histograms; sparse cells are joined."""
    pooled = before + after
    smaller = min(int(before.sum()), int(after.sum()))
    expected = pooled * (smaller / max(1, int(pooled.sum())))
    order = np.argsort(-expected, kind="stable")
    alone = int((expected >= _LEAST_EXPECTED).sum())
    if not alone:
        return 1.0
    table = np.array([before, after], dtype=np.float64)[:, order]
    rest = table[:, alone:].sum(axis=1)
    table = table[:, :alone]
    if float(expected[order][alone:].sum()) >= _LEAST_EXPECTED:
        table = np.column_stack([table, rest])
    else:
        table[:, -1] += rest
    if table.shape[1] < 2:
        return 1.0
    return float(_stats().chi2_contingency(table, correction=False).pvalue)


def more_often(before: int, of: int, after: int, among: int) -> float:
    """Return the p-value of Fisher's exact test, one-sided: it is not more frequent afterwards."""
    # Most often there is nothing to test, and scipy would take its time for it.
    if after * of <= before * among or not of:
        return 1.0
    return float(_stats().hypergeom.sf(after - 1, of + among, before + after, among))


def differently_often(before: int, of: int, after: int, among: int) -> float:
    """Return a two-sided p-value of Fisher's exact test (twice that of the direction found)."""
    if after * of < before * among:
        before, after = of - before, among - after
    return min(1.0, 2 * more_often(before, of, after, among))


def bandwidth(points: Matrix) -> float:
    """Return the median squared distance between points [n, d]: the width of the kernel."""
    found = _squared_distances(points)
    apart = found[np.triu_indices(len(points), 1)]
    median = float(np.median(apart)) if len(apart) else 0.0
    return median if median > 0 else 1.0


def mmd(before: Matrix, after: Matrix, width: float) -> tuple[float, float]:
    """Compare two samples of points by their maximum mean discrepancy.

    The kernel is exp(-distance² / width). Its distribution without a change is found by
    permutation; beyond what 400 permutations can tell, a Pearson type III (shifted gamma)
    distribution of their mean, variance and skewness gives the p-value.

    Args:
        before, after: points [n, d] and [m, d].
        width: squared distance at which the kernel has fallen to 1/e.

    Returns:
        the share (0 to 1) of all variation in the kernel's space that lies between the two
        samples, and the p-value.
    """
    first, n = len(before), len(before) + len(after)
    kernel = np.exp(_squared_distances(np.concatenate([before, after])) / np.float32(-width))
    np.fill_diagonal(kernel, 0.0)
    groups = np.zeros((n, _PERMUTATIONS + 1), np.float32)
    groups[:first, 0] = 1.0
    generator = np.random.default_rng(_SEED)
    for column in range(1, _PERMUTATIONS + 1):
        groups[generator.permutation(n)[:first], column] = 1.0
    within, between = _similarities(kernel.astype(np.float32), groups, first)
    found = within.mean(axis=0) * 2 - between * 2
    apart = max(0.0, float(found[0])) / 4
    inside = max(1e-9, 1.0 - float(within[:, 0].mean()))
    return apart / (inside + apart), _tail(float(found[0]), found[1:])


def _similarities(kernel: Matrix, groups: Matrix, first: int) -> tuple[Numbers, Numbers]:
    """Return mean similarities inside each of both groups [2, k] and between them [k]."""
    second = len(kernel) - first
    ours = (groups * (kernel @ groups)).sum(axis=0, dtype=np.float64)
    to_all = (kernel.sum(axis=1, dtype=np.float64)[:, None] * groups).sum(axis=0)
    total = float(kernel.sum(dtype=np.float64))
    theirs = total - 2 * to_all + ours
    within = np.array([ours / (first * (first - 1)), theirs / (second * (second - 1))])
    return within, (to_all - ours) / (first * second)


def _tail(value: float, null: Numbers) -> float:
    spread = float(null.std())
    if spread < 1e-12:
        return 1.0
    z = (value - float(null.mean())) / spread
    skew = float((((null - null.mean()) / spread) ** 3).mean())
    p_value = _stats().pearson3.sf(z, skew) if skew > 1e-3 else _stats().norm.sf(z)
    return float(min(1.0, max(float(p_value), 1e-300)))


def _squared_distances(points: Matrix) -> Matrix:
    squares = (points * points).sum(axis=1)
    found = squares[:, None] + squares[None, :] - 2 * (points @ points.T)
    return np.asarray(np.maximum(found, 0.0), np.float32)


def holm(p_values: Numbers) -> Numbers:
    """Return p-values after Holm's correction: the chance of any false finding is bounded."""
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    factors = count - np.arange(count)
    raised = np.maximum.accumulate(p_values[order] * factors)
    found = np.empty(count)
    found[order] = np.minimum(raised, 1.0)
    return found


def _stats() -> Any:
    from scipy import stats  # type: ignore[import-untyped]

    return stats
