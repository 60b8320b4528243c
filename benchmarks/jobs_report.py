"""The figures of `benchmarks.jobs` as Markdown, and the bar that they are held against."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.peers.results import Claim

BARE, SLIPWAY, INSIDE = "bare Celery", "Slipway's queue", "in the process itself"
# The bar, see issue 6.
_LEAST_RATIO = 0.5
_MOST_ADDED_MS = 25.0


@dataclass(frozen=True, slots=True)
class Many:
    """So many jobs at once, until their caller has seen the result of each.

    Attributes:
        cpu: µs of processor time for each job, by process.
    """

    arm: str
    round: int
    jobs: int
    seconds: float
    cpu: dict[str, float]

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds


@dataclass(frozen=True, slots=True)
class One:
    """One job after the other; `times` in ms, sorted."""

    arm: str
    round: int
    times: list[float]

    def quantile(self, share: float) -> float:
        """Return the time that so large a share stays below."""
        return self.times[min(len(self.times) - 1, int(share * len(self.times)))]


@dataclass(frozen=True, slots=True)
class Results:
    """Every measurement of a run."""

    many: list[Many]
    one: list[One]

    def rate(self, arm: str) -> float | None:
        """Return the median of an arm's rounds."""
        return _median(many.rate for many in self.many if many.arm == arm)

    def ratio(self) -> float | None:
        """Return the median of the rounds' own ratios to bare Celery."""
        base = {many.round: many.rate for many in self.many if many.arm == BARE}
        return _median(
            many.rate / base[many.round]
            for many in self.many
            if many.arm == SLIPWAY and many.round in base
        )

    def time(self, arm: str, share: float) -> float | None:
        """Return the median of the rounds' quantiles of an arm."""
        return _median(one.quantile(share) for one in self.one if one.arm == arm)

    def added(self, arm: str, share: float) -> float | None:
        """Return by how much that is more than without a queue."""
        base = {one.round: one.quantile(share) for one in self.one if one.arm == INSIDE}
        return _median(
            one.quantile(share) - base[one.round]
            for one in self.one
            if one.arm == arm and one.round in base
        )


def bar(results: Results) -> list[Claim]:
    """Compare with the bar; what was not measured holds neither way."""
    text = f"at least {_LEAST_RATIO:.2f} of bare Celery's jobs a second, with every guarantee"
    ratio, added = results.ratio(), results.added(SLIPWAY, 0.5)
    claims = [
        Claim(text, None) if ratio is None else Claim(f"{text}: {ratio:.2f}", ratio >= _LEAST_RATIO)
    ]
    text = f"p50 of one job at a time at most {_MOST_ADDED_MS:g} ms more than without a queue"
    if added is None:
        return [*claims, Claim(text, None)]
    return [*claims, Claim(f"{text}: {added:.1f} ms", added <= _MOST_ADDED_MS)]


def markdown(results: Results, claims: Sequence[Claim]) -> str:
    """Return every table and the bar."""
    words = {True: "met", False: "NOT met", None: "not measured"}
    verdict = "\n".join(f"- {words[claim.holds]}: {claim.text}" for claim in claims)
    tables = ["\n".join(_many(results)), "\n".join(_one(results))]
    return "\n\n".join([*tables, verdict])


def _many(results: Results) -> Iterator[str]:
    ratio = results.ratio()
    parts = list(dict.fromkeys(part for many in results.many for part in many.cpu))
    yield "**Many jobs at once, until the caller has seen every result; medians of the rounds**"
    yield ""
    yield "| | jobs/s | of bare Celery | CPU µs/job: " + " | ".join(parts) + " |"
    yield "|---|" + "---:|" * (2 + len(parts))
    for arm in (BARE, SLIPWAY):
        rate = results.rate(arm)
        if rate is None:
            continue
        compared = "–" if arm == BARE or ratio is None else f"{ratio:.2f}"
        spent = " | ".join(_spent(results, arm, part) for part in parts)
        yield f"| {arm} | {rate:,.0f} | {compared} | {spent} |"


def _spent(results: Results, arm: str, part: str) -> str:
    found = _median(m.cpu[part] for m in results.many if m.arm == arm and part in m.cpu)
    return "–" if found is None else f"{found:,.0f}"


def _one(results: Results) -> Iterator[str]:
    yield "**One job at a time, from the call to its result; medians of the rounds**"
    yield ""
    yield "| | p50 ms | p99 ms | added p50 ms | added p99 ms |"
    yield "|---|---:|---:|---:|---:|"
    for arm in (INSIDE, BARE, SLIPWAY):
        p50, p99 = results.time(arm, 0.5), results.time(arm, 0.99)
        if p50 is None or p99 is None:
            continue
        added = [results.added(arm, share) for share in (0.5, 0.99)]
        more = ["–" if arm == INSIDE or one is None else f"{one:+.2f}" for one in added]
        yield f"| {arm} | {p50:.2f} | {p99:.2f} | {more[0]} | {more[1]} |"


def _median(values: Iterator[float] | list[float]) -> float | None:
    found = list(values)
    return median(found) if found else None
