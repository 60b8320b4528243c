"""A load generator over plain HTTP/1.1 connections that are kept: closed loop or open loop.

    python -m benchmarks.load --port 8000 --path /predict --body body.json --connections 32
    python -m benchmarks.load ... --rate 2000

Closed: each connection asks again once it is answered; a slow server is asked less. Open
(`--rate`): requests leave at a fixed rate whatever the server does, and a time is counted from the
moment at which the request was due, so that waiting for a free connection or for a late answer
shows. What is not answered a little after the end counts with the time it has waited by then.

The first 1234567 of the body becomes another number of seven digits in every request, so that no
cache answers. Prints one JSON object; times are milliseconds.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import cast

MARK = "1234567"
_NUMBERS = 10 ** len(MARK)
# How long the last answers are waited for.
_GRACE_SECONDS = 2.0
_LOOK_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked: a POST of JSON to this machine; `first` is the first number of the bodies."""

    port: int
    path: str
    body: str
    first: int = 0

    def parts(self) -> tuple[str, str]:
        """Return a request before and after its seven digits.

        Raises:
            ValueError: the body has none.
        """
        before, found, after = self.body.partition(MARK)
        if not found:
            raise ValueError(f"the body has no {MARK}")
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body.encode())}\r\n\r\n"
        )
        return head + before, after

    def requests(self) -> Iterator[bytes]:
        """Yield request after request, no two of them alike for ten million."""
        before, after = (part.encode() for part in self.parts())
        for number in count(self.first):
            yield b"%b%07d%b" % (before, number % _NUMBERS, after)


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a run.

    Attributes:
        requests: that were answered 200 in time.
        seconds: that the run took.
        errors: answers other than 200, and connections that broke in the middle of a request.
        unfinished: requests of an open loop without an answer at the end; they are in the times.
        p50, p90, p99, worst: milliseconds.
        late: p99 of how long after its time a request of an open loop could leave although a
            connection was free, in ms: the client's own lateness.
    """

    requests: int
    seconds: float
    errors: int
    unfinished: int
    p50: float
    p90: float
    p99: float
    worst: float
    late: float = 0.0

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


class Connection(asyncio.Protocol):
    """One connection, with at most one request under way: `due` is from when it counts."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._buffer = b""
        self.due: float | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)

    def ask(self, request: bytes, due: float) -> None:
        """Send a request whose time counts from `due`."""
        assert self._transport is not None
        self.due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer."""
        self._buffer = data if not self._buffer else self._buffer + data
        head, found, _ = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        if not length:
            raise ValueError("the answer has no Content-Length")
        if len(self._buffer) < len(head) + 4 + int(length):
            return
        self._buffer, due, self.due = b"", self.due, None
        assert due is not None
        self._run.answered(self, head.startswith(b"HTTP/1.1 200 "), due)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the request that was under way."""
        if self.due is not None:
            self._run.broken()

    def close(self) -> None:
        """End; what is under way does not count as broken."""
        self.due = None
        assert self._transport is not None
        self._transport.close()


class Run:
    """A closed loop."""

    def __init__(self, target: Target, seconds: float) -> None:
        self.requests = target.requests()
        self.seconds = seconds
        self.times: list[float] = []
        self.late: list[float] = []
        self.errors = 0
        self.connections: list[Connection] = []
        self.end = 0.0

    def answered(self, connection: Connection, good: bool, due: float) -> None:
        """Note an answer, and ask again."""
        now = time.perf_counter()
        self.note(now - due, good)
        if now < self.end:
            connection.ask(next(self.requests), now)

    def note(self, seconds: float, good: bool) -> None:
        """Count an answer."""
        if good:
            self.times.append(seconds)
        else:
            self.errors += 1

    def broken(self) -> None:
        """Count a connection that broke."""
        self.errors += 1

    async def go(self, port: int, connections: int) -> Measured:
        """Open the connections, run, and close them."""
        loop = asyncio.get_running_loop()
        try:
            for _ in range(connections):
                _, made = await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
                self.connections.append(made)
            started = time.perf_counter()
            self.end = started + self.seconds
            await self.drive(started)
            return self.measured(time.perf_counter() - started)
        finally:
            for connection in self.connections:
                connection.close()
            # uvloop frees a connection in its next turn.
            await asyncio.sleep(0)

    async def drive(self, started: float) -> None:
        """Run until the end, and a little longer for the last answers."""
        for connection in self.connections:
            connection.ask(next(self.requests), time.perf_counter())
        await asyncio.sleep(self.seconds)
        await self.rest()

    async def rest(self) -> None:
        """Wait for what is under way, not for long."""
        for _ in range(round(_GRACE_SECONDS / _LOOK_SECONDS)):
            if not self.pending():
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def pending(self) -> list[float]:
        """Return from when each request without an answer counts."""
        found = (connection.due for connection in self.connections)
        return [due for due in found if due is not None]

    def measured(self, seconds: float) -> Measured:
        """Sum up."""
        now = time.perf_counter()
        waited = [now - due for due in self.pending()]
        times = [1e3 * t for t in (*self.times, *waited)] or [0.0]
        # One value alone has no quantiles.
        cuts = statistics.quantiles([*times, *times], n=100, method="inclusive")
        lateness = [*self.late, *self.late] or [0.0, 0.0]
        return Measured(
            requests=len(self.times),
            seconds=seconds,
            errors=self.errors,
            unfinished=len(waited),
            p50=cuts[49],
            p90=cuts[89],
            p99=cuts[98],
            worst=max(times),
            late=1e3 * statistics.quantiles(lateness, n=100, method="inclusive")[98],
        )


class OpenRun(Run):
    """An open loop: requests are due at a fixed rate."""

    def __init__(self, target: Target, seconds: float, rate: float) -> None:
        super().__init__(target, seconds)
        self.rate = rate
        self.free: deque[Connection] = deque()
        self.waiting: deque[float] = deque()

    def answered(self, connection: Connection, good: bool, due: float) -> None:
        """Note an answer, and send what has waited for a connection."""
        self.note(time.perf_counter() - due, good)
        if self.waiting:
            connection.ask(next(self.requests), self.waiting.popleft())
        else:
            self.free.append(connection)

    def pending(self) -> list[float]:
        """Return those under way and those that have not left."""
        return [*super().pending(), *self.waiting]

    async def drive(self, started: float) -> None:
        """Send what is due, again and again, without sleeping: timers are too coarse."""
        self.free.extend(self.connections)
        sent, total = 0, round(self.rate * self.seconds)
        while sent < total:
            now = time.perf_counter()
            while sent < total and (due := started + sent / self.rate) <= now:
                sent += 1
                if self.free:
                    self.late.append(time.perf_counter() - due)
                    self.free.popleft().ask(next(self.requests), due)
                else:
                    self.waiting.append(due)
            await asyncio.sleep(0)
        await self.rest()


def measure(
    target: Target, *, connections: int, seconds: float, rate: float | None = None
) -> Measured:
    """Run once in this process; `rate` makes it an open loop of so many requests a second."""
    import uvloop

    run = Run(target, seconds) if rate is None else OpenRun(target, seconds, rate)
    return uvloop.run(run.go(target.port, connections))


def main() -> int:
    """Run once and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--body", type=Path, required=True, help="file with the JSON")
    parser.add_argument("--first", type=int, default=0, help="first number put into the body")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, help="requests a second: an open loop")
    given = parser.parse_args()
    target = Target(given.port, given.path, given.body.read_text(encoding="utf-8"), given.first)
    found = measure(target, connections=given.connections, seconds=given.seconds, rate=given.rate)
    print(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
