"""The load generator against a small server whose slowness is known."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.load import MARK, Measured, OpenRun, Run, Target

pytestmark = pytest.mark.anyio

BODY = f'{{"features": [0.{MARK}, 1.5]}}'
_REQUEST = re.compile(
    rb'POST /predict HTTP/1\.1\r\n.*\r\n\r\n{"features": \[0\.(\d{7}), 1\.5\]}$', re.S
)


class Answering:
    """Answers each connection's requests one after another; remembers the numbers that came."""

    def __init__(self, seconds: float, answer: Callable[[int], tuple[int, bytes]]) -> None:
        self.seconds = seconds
        self.answer = answer
        self.numbers: list[int] = []
        self.port = 0
        self._one = asyncio.Lock()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = await reader.readexactly(len(BODY))
                found = _REQUEST.fullmatch(head + body)
                assert found is not None
                self.numbers.append(int(found[1]))
                # One request at a time over all connections, as one busy core has it.
                async with self._one:
                    await asyncio.sleep(self.seconds)
                status, text = self.answer(len(self.numbers))
                reply = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(text), text)
                # In two pieces, as a network may have it.
                writer.write(reply[:-2])
                await writer.drain()
                await asyncio.sleep(0)
                writer.write(reply[-2:])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def answering(
    seconds: float = 0.0, answer: Callable[[int], tuple[int, bytes]] = lambda number: (200, b"{}")
) -> AsyncIterator[Answering]:
    handler = Answering(seconds, answer)
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    handler.port = server.sockets[0].getsockname()[1]
    async with server:
        yield handler


async def closed(server: Answering, connections: int, seconds: float, first: int = 0) -> Measured:
    target = Target(server.port, "/predict", BODY, first)
    return await Run(target, seconds).go(server.port, connections)


async def test_every_answer_is_counted_and_no_request_is_like_another() -> None:
    async with answering() as server:
        found = await closed(server, connections=4, seconds=0.3, first=9_999_998)
    assert found.requests == len(server.numbers) >= 4
    assert (found.errors, found.unfinished) == (0, 0)
    assert len(set(server.numbers)) == len(server.numbers)
    # Past the last number the first one follows.
    assert {9_999_998, 9_999_999, 0, 1} <= set(server.numbers)
    assert 0 < found.p50 <= found.p90 <= found.p99 <= found.worst


async def test_answers_other_than_200_are_errors_without_a_time() -> None:
    async with answering(answer=lambda n: (500 if n % 2 else 200, b"oh dear")) as server:
        found = await closed(server, connections=1, seconds=0.2)
    assert found.errors == (len(server.numbers) + 1) // 2
    assert found.requests == len(server.numbers) // 2


async def test_a_closed_loop_asks_a_slow_server_less() -> None:
    async with answering(seconds=0.05) as server:
        found = await closed(server, connections=1, seconds=0.4)
    assert 1 <= found.requests <= 9
    assert found.p50 >= 50


async def test_an_open_loop_counts_from_when_a_request_was_due() -> None:
    """The server takes 20 ms for each, and 100 a second are due: each waits longer."""
    async with answering(seconds=0.02) as server:
        target = Target(server.port, "/predict", BODY)
        found = await OpenRun(target, seconds=0.5, rate=100).go(server.port, 2)
    assert found.requests + found.unfinished == 50
    # Half of the time's requests are still waiting at its end; a closed loop would see 40 ms.
    assert found.worst >= 400
    assert 100 < found.p50 < found.worst


async def test_an_open_loop_keeps_its_rate() -> None:
    async with answering() as server:
        target = Target(server.port, "/predict", BODY)
        found = await OpenRun(target, seconds=2, rate=50).go(server.port, 8)
    assert found.requests == len(server.numbers) == 100
    assert found.unfinished == 0
    assert found.seconds >= 1.97


async def test_a_connection_that_breaks_is_an_error() -> None:
    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(drop, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await Run(Target(port, "/predict", BODY), 0.1).go(port, 3)
    assert (found.requests, found.errors) == (0, 3)


def test_a_body_without_the_number_is_refused() -> None:
    with pytest.raises(ValueError, match=MARK):
        Target(1, "/predict", "{}").parts()
