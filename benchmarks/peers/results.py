"""What was measured, the medians of it, and whether the bar is met."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.load import Measured
from benchmarks.peers.contenders import Contender, Role

# The bar, see issue 4: at 32 connections, and p50 at one.
_MANY, _ONE = 32, 1
_TIMES_BEST_PEER = 4.0
_ABOVE_INLINE_MS = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement.

    Attributes:
        rate: requests a second that were due, in an open loop.
        own: whether that rate is a share of the contender's own peak, or of Slipway's.
        cpu: microseconds of processor time that the server spent on each answer.
        memory: bytes that the server's processes had for themselves after it.
    """

    contender: str
    connections: int
    round: int
    measured: Measured
    cpu: float
    memory: int
    rate: float | None = None
    own: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "answers_per_second": self.measured.rate}


@dataclass(frozen=True, slots=True)
class Line:
    """Medians of the rounds; times in ms, `cpu` in µs a request."""

    rate: float
    p50: float
    p99: float
    cpu: float
    errors: int


@dataclass(slots=True)
class Results:
    """Every sample of a run."""

    contenders: Sequence[Contender]
    closed: list[Sample] = field(default_factory=list)
    open: list[Sample] = field(default_factory=list)

    def line(self, name: str, connections: int) -> Line | None:
        """Return the medians of one contender; None where it was not measured."""
        found = [s for s in self.closed if s.contender == name and s.connections == connections]
        if not found:
            return None
        return Line(
            rate=median(s.measured.rate for s in found),
            p50=median(s.measured.p50 for s in found),
            p99=median(s.measured.p99 for s in found),
            cpu=median(s.cpu for s in found),
            errors=sum(s.measured.errors for s in found),
        )

    def lines(self, role: Role, connections: int) -> list[Line]:
        """Return the medians of every contender of a role."""
        found = (self.line(c.name, connections) for c in self.contenders if c.role is role)
        return [line for line in found if line is not None]

    def peak(self, name: str) -> float | None:
        """Return the most answers a second that a contender gave, over any connections."""
        counts = {s.connections for s in self.closed if s.contender == name}
        lines = [self.line(name, connections) for connections in counts]
        return max((line.rate for line in lines if line is not None), default=None)

    def best_rate(self, role: Role, connections: int) -> float | None:
        """Return the highest rate of a role."""
        return max((line.rate for line in self.lines(role, connections)), default=None)


@dataclass(frozen=True, slots=True)
class Claim:
    """One part of the bar, and whether it holds; None: not measured."""

    text: str
    holds: bool | None


def bar(results: Results) -> list[Claim]:
    """Compare with the bar."""
    ours, peers = results.line("slipway", _MANY), results.lines(Role.PEER, _MANY)
    single, inline = results.line("slipway", _ONE), results.lines(Role.INLINE, _ONE)
    claims = []
    text = f"{_TIMES_BEST_PEER:g} times the best peer at {_MANY} connections"
    if ours is None or not peers:
        claims.append(Claim(text, None))
        claims.append(Claim(f"p99 below the best peer's at {_MANY} connections", None))
    else:
        times = ours.rate / max(peer.rate for peer in peers)
        claims.append(Claim(f"{text}: {times:.2f} times", times >= _TIMES_BEST_PEER))
        lowest = min(peer.p99 for peer in peers)
        text = f"p99 below the best peer's at {_MANY} connections"
        claims.append(Claim(f"{text}: {ours.p99:.2f} and {lowest:.2f} ms", ours.p99 < lowest))
    text = f"p50 at one connection at most inline FastAPI's + {_ABOVE_INLINE_MS:g} ms"
    if single is None or not inline:
        claims.append(Claim(text, None))
    else:
        holds = single.p50 <= inline[0].p50 + _ABOVE_INLINE_MS
        claims.append(Claim(f"{text}: {single.p50:.2f} and {inline[0].p50:.2f} ms", holds))
    claims.append(_no_errors(results.closed))
    return claims


def beside_batches(results: Results) -> str | None:
    """Say what the best peer does with its batching on; not part of the bar."""
    ours = results.line("slipway", _MANY)
    best = results.best_rate(Role.BATCHING, _MANY)
    if ours is None or best is None:
        return None
    return f"{ours.rate / best:.2f} times the best peer with batching at {_MANY} connections"


def _no_errors(samples: Iterable[Sample]) -> Claim:
    errors = sum(s.measured.errors for s in samples if s.contender == "slipway")
    return Claim(f"every answer of Slipway is a 200: {errors} are not", errors == 0)
