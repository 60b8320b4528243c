"""Results as Markdown, for a person to read and for a page."""

import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.peers.contenders import Role
from benchmarks.peers.results import Claim, Results, Sample, beside_batches

_CPUS = Path("/proc/cpuinfo")
_NONE = "–"
# A client that is late by more than this shows in the times.
_LATE_MS = 1.0


def markdown(results: Results, connections: Sequence[int], claims: Sequence[Claim]) -> str:
    """Return every table and the bar."""
    parts = ["\n".join(_closed(results, count)) for count in connections]
    for own in (False, True):
        if any(sample.own is own for sample in results.open):
            parts.append("\n".join(_open(results, own)))
    parts.append("\n".join(_bar(claims, beside_batches(results))))
    return "\n\n".join(parts)


def machine() -> dict[str, str | int | tuple[float, ...]]:
    """Say what this is measured on."""
    model = ""
    if _CPUS.exists():
        lines = _CPUS.read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2] for line in lines if "model name" in line), "")
    return {
        "processor": model.strip() or platform.processor(),
        "cores": os.cpu_count() or 1,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
    }


def _closed(results: Results, connections: int) -> Iterator[str]:
    plural = "" if connections == 1 else "s"
    yield f"**{connections} connection{plural}, closed loop**"
    yield ""
    yield (
        "| | requests/s | p50 ms | p99 ms | CPU µs/request | × best peer | × inline FastAPI "
        "| × floor |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    roles = (Role.PEER, Role.INLINE, Role.FLOOR)
    bases = [results.best_rate(role, connections) for role in roles]
    for contender in results.contenders:
        line = results.line(contender.name, connections)
        if line is None:
            continue
        shares = " | ".join(_NONE if base is None else f"{line.rate / base:.2f}" for base in bases)
        failed = f" ({line.errors} errors)" if line.errors else ""
        yield (
            f"| {contender.label}{failed} | {line.rate:,.0f} | {line.p50:.2f} | {line.p99:.2f} "
            f"| {line.cpu:,.0f} | {shares} |"
        )


def _open(results: Results, own: bool) -> Iterator[str]:
    samples = [sample for sample in results.open if sample.own is own]
    if own:
        yield "**Open loop at four fifths of each contender's own peak**"
    else:
        yield "**Open loop at half of Slipway's peak, for all the same**"
    yield ""
    yield "| | requests/s due | answered | p50 ms | p99 ms | CPU µs/request |"
    yield "|---|---:|---:|---:|---:|---:|"
    for sample in samples:
        yield _open_line(results, sample)
    late = max(sample.measured.late for sample in samples)
    if late > _LATE_MS:
        yield ""
        yield f"The client itself was late by up to {late:.1f} ms (p99): this machine was busy."


def _open_line(results: Results, sample: Sample) -> str:
    found = sample.measured
    label = next(c.label for c in results.contenders if c.name == sample.contender)
    answered = found.requests / max(1, found.requests + found.errors + found.unfinished)
    return (
        f"| {label} | {sample.rate or 0:,.0f} | {answered:.0%} | {found.p50:,.2f} "
        f"| {found.p99:,.2f} | {sample.cpu:,.0f} |"
    )


def _bar(claims: Sequence[Claim], besides: str | None) -> Iterator[str]:
    words = {True: "met", False: "NOT met", None: "not measured"}
    for claim in claims:
        yield f"- {words[claim.holds]}: {claim.text}"
    if besides is not None:
        yield f"- besides: {besides}"
