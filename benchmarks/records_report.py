"""The figures of `benchmarks.records` as Markdown, and the bar that they are held against."""

from collections.abc import Iterator, Sequence

from benchmarks.peers.results import Claim
from benchmarks.records_serving import MANY, OFF, ON, ONE, SHIPPED, Line, Sample, lines
from benchmarks.records_shipping import Shipped, Shipping

# The bar, see issue 5.
_LEAST_RATIO = 0.90
_MOST_ADDED_MS = 1.0
_LEAST_ROWS = 2000.0
_LEAST_TRACES = 300.0
# Server's seconds for a run per prediction on the machine of that figure: the machine's pace.
_RUN_SECONDS = 0.0485


def bar(samples: Sequence[Sample], shipping: Shipping | None) -> list[Claim]:
    """Compare with the bar; what was not measured holds neither way.

    Traces are held against a run per prediction on the same server: what a core does in a second
    differs threefold between machines, and from hour to hour.
    """
    many = {line.arm: line for line in lines(samples, MANY)}
    one = {line.arm: line for line in lines(samples, ONE)}
    claims = []
    text = f"{ON}: at least {_LEAST_RATIO:.2f} of the throughput at {MANY} connections"
    claims.append(_least(text, many[ON].ratio if ON in many else None, _LEAST_RATIO))
    added = one[ON].added if ON in one else None
    text = f"{ON}: p50 at one connection at most {_MOST_ADDED_MS:g} ms more"
    if added is None:
        claims.append(Claim(text, None))
    else:
        claims.append(Claim(f"{text}: {added:.3f} ms", added <= _MOST_ADDED_MS))
    rows, traces = _named(shipping, "Parquet alone"), _named(shipping, "every trace")
    text = f"at least {_LEAST_ROWS:,.0f} predictions a second into Parquet"
    claims.append(_least(text, rows.rows_rate if rows else None, _LEAST_ROWS))
    least = _LEAST_TRACES * _RUN_SECONDS
    text = f"at least {least:.1f} traces for what one run per prediction costs the server"
    ratio = shipping.per_run(traces) if shipping and traces else None
    claims.append(_least(text, ratio, least))
    if samples:
        errors = sum(sample.measured.errors for sample in samples)
        claims.append(Claim(f"every answer is a 200: {errors} are not", errors == 0))
    return claims


def besides(samples: Sequence[Sample], shipping: Shipping | None) -> list[str]:
    """Say what is no part of the bar, for the machine's cores decide it."""
    found = [
        f"{line.ratio:.2f} of the throughput while a shipper and an MLflow server are busy on "
        "the client's core"
        for line in lines(samples, MANY)
        if line.arm == SHIPPED
    ]
    traces, untagged = _named(shipping, "every trace"), _named(shipping, "every trace, no tags")
    if shipping and traces:
        found.append(
            f"{traces.traces_per_core:,.0f} traces a second per core of the server at this "
            f"machine's pace (a run per prediction: {1e3 * shipping.run_cpu:.0f} ms of a core); "
            f"{_LEAST_TRACES:.0f} were asked for where that is {1e3 * _RUN_SECONDS:.1f} ms"
        )
    if shipping and traces and untagged:
        found.append(
            f"{1e3 * traces.trace_cpu:.1f} ms of the server for a trace, "
            f"{1e3 * untagged.trace_cpu:.1f} ms without tags (LEDGER_TRACE_TAGS): "
            f"{shipping.per_run(untagged):.1f} of these for what a run per prediction costs it"
        )
    return found


def markdown(samples: Sequence[Sample], shipping: Shipping | None, claims: Sequence[Claim]) -> str:
    """Return every table and the bar."""
    parts = []
    if samples:
        parts += ["\n".join(_serving(lines(samples, count), count)) for count in (MANY, ONE)]
    if shipping:
        parts.append("\n".join(_shipping(shipping)))
    words = {True: "met", False: "NOT met", None: "not measured"}
    verdict = [f"- {words[claim.holds]}: {claim.text}" for claim in claims]
    verdict += [f"- besides: {text}" for text in besides(samples, shipping)]
    parts.append("\n".join(verdict))
    return "\n\n".join(parts)


def _named(shipping: Shipping | None, name: str) -> Shipped | None:
    return next((one for one in shipping.backlogs if one.name == name), None) if shipping else None


def _least(text: str, value: float | None, least: float) -> Claim:
    if value is None:
        return Claim(text, None)
    return Claim(f"{text}: {value:,.2f}", value >= least)


def _serving(found: Sequence[Line], connections: int) -> Iterator[str]:
    plural = "" if connections == 1 else "s"
    yield f"**{connections} connection{plural}, closed loop; medians of the rounds**"
    yield ""
    yield "| | requests/s | p50 ms | p99 ms | CPU µs/request | of the throughput | added p50 ms |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for line in found:
        compared = "– | –" if line.arm == OFF else f"{line.ratio:.3f} | {line.added:+.3f}"
        failed = f" ({line.errors} errors)" if line.errors else ""
        yield (
            f"| {line.arm}{failed} | {line.rate:,.0f} | {line.p50:.3f} | {line.p99:.3f} "
            f"| {line.cpu:,.0f} | {compared} |"
        )


def _shipping(shipping: Shipping) -> Iterator[str]:
    yield "**Catching up with a backlog; one MLflow worker on SQLite**"
    yield ""
    yield (
        "| | predictions | s until in Parquet | predictions/s | traces sent | thinned "
        "| s until traced | traces/s | per server core | for a run's cost | server CPU s "
        "| shipper CPU s |"
    )
    yield "|---|" + "---:|" * 11
    for one in shipping.backlogs:
        yield (
            f"| {one.name} | {one.records:,} | {one.parquet_seconds:.1f} | {one.rows_rate:,.0f} "
            f"| {one.sent:,} | {one.thinned:,} | {one.traces_seconds:.1f} "
            f"| {one.traces_rate:,.0f} | {one.traces_per_core:,.0f} | {shipping.per_run(one):.1f} "
            f"| {one.server_cpu:.1f} | {one.shipper_cpu:.1f} |"
        )
