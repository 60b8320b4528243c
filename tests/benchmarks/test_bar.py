"""The bar is compared with medians, and what was not measured does not pass."""

from benchmarks.load import Measured
from benchmarks.peers.contenders import ALL
from benchmarks.peers.report import markdown
from benchmarks.peers.results import Results, Sample, bar


def sample(name: str, connections: int, rate: float, *, ms: float, errors: int = 0) -> Sample:
    measured = Measured(
        requests=round(rate), seconds=1.0, errors=errors, unfinished=0,
        p50=ms, p90=ms, p99=2 * ms, worst=3 * ms,
    )  # fmt: skip
    return Sample(name, connections, 0, measured, cpu=100.0, memory=1)


def results(*samples: Sample) -> Results:
    return Results(list(ALL), closed=list(samples))


GOOD = (
    sample("slipway", 1, 900, ms=1.1),
    sample("fastapi", 1, 1000, ms=1.0),
    sample("slipway", 32, 4100, ms=8),
    sample("litserve", 32, 1000, ms=30),
    sample("mlflow", 32, 700, ms=20),
    sample("mlserver-batch", 32, 2050, ms=10),
)


def test_the_bar_is_met() -> None:
    found = results(*GOOD)
    assert [claim.holds for claim in bar(found)] == [True] * 4
    text = markdown(found, [1, 32], bar(found))
    assert "| Slipway | 4,100 | 8.00 | 16.00 | 100 | 4.10 |" in text
    assert "2.00 times the best peer with batching" in text


def test_each_part_can_fail_alone() -> None:
    slow = sample("litserve", 32, 1100, ms=30)
    assert [c.holds for c in bar(results(*GOOD[:3], slow))] == [False, True, True, True]
    quick = sample("mlflow", 32, 700, ms=7)
    assert [c.holds for c in bar(results(*GOOD[:4], quick))] == [True, False, True, True]
    late = sample("slipway", 1, 900, ms=1.21)
    assert [c.holds for c in bar(results(late, *GOOD[1:]))] == [True, True, False, True]
    wrong = sample("slipway", 256, 900, ms=1.1, errors=1)
    assert [c.holds for c in bar(results(*GOOD, wrong))] == [True, True, True, False]


def test_what_was_not_measured_is_not_met() -> None:
    assert [claim.holds for claim in bar(results(*GOOD[:1]))] == [None, None, None, True]


def test_one_slow_round_does_not_decide() -> None:
    slow = [sample("slipway", 32, rate, ms=8) for rate in (1.0, 4200)]
    line = results(*GOOD, *slow).line("slipway", 32)
    assert line is not None
    assert line.rate == 4100
