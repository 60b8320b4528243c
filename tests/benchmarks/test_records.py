"""The comparisons of the records' benchmark, and its ways to write, in small."""

from pathlib import Path

import orjson

from benchmarks.load import Measured
from benchmarks.records_journal import compare, payload, table
from benchmarks.records_report import bar, markdown
from benchmarks.records_serving import OFF, ON, SHIPPED, Sample, lines
from benchmarks.records_shipping import Shipped, Shipping, prepare
from services.ledger.places import Places
from services.ledger.reading import read, segments
from services.ledger.records import parse


def sample(arm: str, connections: int, number: int, rate: float, *, ms: float = 1.0) -> Sample:
    measured = Measured(
        requests=round(rate), seconds=1.0, errors=0, unfinished=0,
        p50=ms, p90=ms, p99=2 * ms, worst=3 * ms,
    )  # fmt: skip
    return Sample(arm, connections, number, measured, cpu=100.0)


def shipped(name: str, *, seconds: float, traces: int = 0, cpu: float = 1.0) -> Shipped:
    return Shipped(name, 10_000, seconds, seconds, traces, 10_000 - traces, cpu, 1.0)


GOOD = [
    *(sample(OFF, 32, i, 3000) for i in range(3)),
    *(sample(ON, 32, i, 2790) for i in range(3)),
    *(sample(SHIPPED, 32, i, 2730) for i in range(3)),
    *(sample(OFF, 1, i, 1000, ms=1.0) for i in range(3)),
    *(sample(ON, 1, i, 900, ms=1.1) for i in range(3)),
]


def shipping(*backlogs: Shipped) -> Shipping:
    return Shipping(list(backlogs), run_cpu=0.0485)


PARQUET = shipped("Parquet alone", seconds=2)
TRACES = shipped("every trace", seconds=20, traces=10_000, cpu=25)
UNTAGGED = shipped("every trace, no tags", seconds=15, traces=10_000, cpu=16)
FAST = shipping(PARQUET, TRACES, UNTAGGED)


def test_the_bar_is_met() -> None:
    claims = bar(GOOD, FAST)
    assert [claim.holds for claim in claims] == [True] * 5
    text = markdown(GOOD, FAST, claims)
    assert "| records on | 2,790 | 1.000 | 2.000 | 100 | 0.930 | +0.000 |" in text
    assert "- besides: 0.91 of the throughput" in text
    assert "- met: at least 14.6 traces for what one run per prediction costs" in text
    assert "server: 19.40" in text
    assert "- besides: 400 traces a second per core of the server" in text
    assert "| every trace | 10,000 | 20.0 | 500 | 10,000 | 0 | 20.0 | 500 | 400 | 19.4 |" in text
    assert "| 15.0 | 667 | 625 | 30.3 | 16.0 |" in text
    assert "- besides: 2.5 ms of the server for a trace, 1.6 ms without tags" in text


def test_each_part_can_fail_alone() -> None:
    slow = [one for one in GOOD if one.arm != ON]
    slow_many = [*slow, *(sample(ON, 32, i, 2690) for i in range(3))]
    assert [claim.holds for claim in bar(slow_many, FAST)] == [False, None, True, True, True]
    late = [*GOOD[:-3], *(sample(ON, 1, i, 900, ms=2.1) for i in range(3))]
    assert [claim.holds for claim in bar(late, FAST)][1] is False
    crawl = shipping(shipped("Parquet alone", seconds=6), TRACES)
    assert [claim.holds for claim in bar(GOOD, crawl)][2:4] == [False, True]
    costly = shipping(PARQUET, shipped("every trace", seconds=20, traces=10_000, cpu=40))
    assert [claim.holds for claim in bar(GOOD, costly)][2:4] == [True, False]


def test_what_was_not_measured_is_not_met() -> None:
    assert {claim.holds for claim in bar([], None)} == {None}


def test_each_round_is_compared_with_itself() -> None:
    """The machine was twice as slow in one round: that is no fault of the records."""
    rounds = [
        sample(OFF, 32, 0, 3000), sample(ON, 32, 0, 2850),
        sample(OFF, 32, 1, 1500), sample(ON, 32, 1, 1425),
        sample(OFF, 32, 2, 3000), sample(ON, 32, 2, 2850),
    ]  # fmt: skip
    (_, line) = lines(rounds, 32)
    assert round(line.ratio, 3) == 0.95


def test_every_way_of_writing_is_timed(tmp_path: Path) -> None:
    found = compare(tmp_path, 160, pace=0)
    assert len(found) == 6
    assert all(one.record > 0 for one in found)
    assert len(table(found).splitlines()) == 8
    assert not list(tmp_path.iterdir())


def test_a_backlog_is_what_a_gateway_would_have_written(tmp_path: Path) -> None:
    parse(payload())
    prepare(tmp_path / "data", 50)
    (segment,) = segments(Places(tmp_path / "data").journal)
    records = [parse(entry.payload) for entry in read(segment, 0).records]
    assert len({record.id for record in records}) == 50
    assert len({orjson.dumps(record.input) for record in records}) == 50
