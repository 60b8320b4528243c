"""Predictions asked over kept connections, and what became of every single one."""

import asyncio
import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from tests.gateway.constants import FEATURES
from tests.support.patience import PATIENCE

_PAUSE_SECONDS = 0.02
# Readiness, and a full disk, come again on their own.
_REFUSED_SECONDS = 0.1
_LOOK_SECONDS = 0.25


@dataclass
class Outcomes:
    """What became of the requests, each of which has a number that no other one has.

    Attributes:
        sent: how many left; their numbers are 0 to `sent` - 1.
        answered: the number of each request that was answered 200, by the id of its prediction.
        refused: the status of each that was answered otherwise.
        broken: those whose connection ended before the answer was whole: nobody knows.
        twice: ids that came with two answers.
    """

    sent: int = 0
    answered: dict[str, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)
    twice: list[str] = field(default_factory=list)

    def statuses(self) -> dict[int, int]:
        """Return how often each status other than 200 was answered."""
        counts: dict[int, int] = {}
        for status in list(self.refused.values()):
            counts[status] = counts.get(status, 0) + 1
        return counts


class Load:
    """Asks from a thread of its own until so many are answered 200; a server may come and go.

    Args:
        wrong_every: every so-maniest request is one that the model refuses (0: none).
    """

    def __init__(
        self, port: int, wanted: int, *, connections: int = 8, wrong_every: int = 0
    ) -> None:
        self.port = port
        self.wanted = wanted
        self.outcomes = Outcomes()
        self.seconds = 0.0
        self._wrong_every = wrong_every
        self._connections = connections
        self._ended = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def count(self) -> int:
        """How many were answered 200 so far."""
        return len(self.outcomes.answered)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._ended or self.count >= self.wanted

    def wait(self, count: int, seconds: float) -> None:
        """Wait until so many are answered 200.

        Raises:
            AssertionError: they are not, in time.
        """
        until = time.monotonic() + seconds
        while self.count < count:
            assert time.monotonic() < until, f"{self.count} of {count}; {self.outcomes.statuses()}"
            assert self._thread.is_alive() or self.count >= count, "the client failed"
            time.sleep(0.005)

    def finish(self) -> None:
        """Let the last requests, a few more than were wanted, have their answers."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        """End it, done or not; what is under way counts as broken."""
        self._ended = True
        if self._thread.ident is not None:
            self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def request(self) -> tuple[int, bytes]:
        """Return a new number and the request that has it."""
        number, self.outcomes.sent = self.outcomes.sent, self.outcomes.sent + 1
        row: list[float | str] = [float(number), *(0.25 * i for i in range(1, FEATURES))]
        if self._wrong_every and number % self._wrong_every == self._wrong_every - 1:
            row[-1] = "a word"
        body = json.dumps({"features": row})
        head = (
            f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return number, (head + body).encode()

    def took(self, number: int, status: int, prediction: str | None) -> None:
        """Note an answer."""
        if status != 200:
            self.outcomes.refused[number] = status
            return
        assert prediction is not None, "a 200 without X-Prediction-ID"
        if prediction in self.outcomes.answered:
            self.outcomes.twice.append(prediction)
        self.outcomes.answered[prediction] = number

    async def _run(self) -> None:
        started = time.monotonic()
        callers = [self._call() for _ in range(self._connections)]
        await asyncio.gather(*callers)
        self.seconds = time.monotonic() - started

    async def _call(self) -> None:
        """Keep one connection for as long as it holds, then another one."""
        loop = asyncio.get_running_loop()
        while not self.done:
            try:
                _, caller = await loop.create_connection(
                    lambda: _Caller(self), "127.0.0.1", self.port
                )
            except OSError:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            await self._watch(caller)

    async def _watch(self, caller: "_Caller") -> None:
        """Wait for the end of a connection; hang up when all is done."""
        while not caller.lost.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(caller.lost.wait(), _LOOK_SECONDS)
            if self._ended or (self.done and caller.number is None):
                caller.close()


class _Caller(asyncio.Protocol):
    """One connection with one request under way; `number` is that request's."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None
        self.number: int | None = None
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        if len(rest) < int(fields["content-length"]):
            return
        self._buffer, number, self.number = b"", self.number, None
        assert number is not None
        status = int(lines[0].split(" ")[1])
        self._load.took(number, status, fields.get("x-prediction-id"))
        if status == 503:
            asyncio.get_running_loop().call_later(_REFUSED_SECONDS, self._ask)
        else:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.number is not None:
            self._load.outcomes.broken.add(self.number)
            self.number = None
        self.lost.set()

    def close(self) -> None:
        """Hang up."""
        assert self._transport is not None
        self._transport.close()

    def _ask(self) -> None:
        if self.lost.is_set():
            return
        if self._load.done:
            self.close()
            return
        self.number, request = self._load.request()
        assert self._transport is not None
        self._transport.write(request)
