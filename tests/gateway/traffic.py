"""Steady traffic of predictions against a gateway, and a record of every answer."""

import asyncio
import json
import random
import threading
import time
from dataclasses import dataclass, field

from tests.gateway.constants import FEATURES, answer_of
from tests.support.patience import PATIENCE

_CONNECTIONS = 8


@dataclass
class Traffic:
    """Asks at a steady rate, from a thread of its own, until told to stop.

    Attributes:
        seen: when each version answered for the first time after `mark`, by `time.monotonic`.
        wrong: answers that are no whole answer of one version, and failures; none is expected.
        seconds: of each request, in the order of their ends.
    """

    port: int
    rate: float
    name: str
    versions: dict[str, int] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._slots = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()

    def mark(self) -> None:
        """Forget when versions were seen."""
        self.seen.clear()

    def wait_for(self, version: str, seconds: float) -> float:
        """Wait until a version answers; return when it did."""
        until = time.monotonic() + seconds
        while version not in self.seen:
            assert time.monotonic() < until, f"version {version} does not answer: {self.versions}"
            time.sleep(0.01)
        return self.seen[version]

    def stop(self) -> None:
        """Let every request end."""
        self._stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def late(self, share: float) -> float:
        """Return the seconds within which this share of the requests was answered."""
        return sorted(self.seconds)[int(len(self.seconds) * share) - 1]

    async def _run(self) -> None:
        self._began = time.monotonic()
        await asyncio.gather(*(self._ask(number) for number in range(_CONNECTIONS)))

    async def _ask(self, number: int) -> None:
        chance = random.Random(number)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while not self._stop.is_set():
            slot, self._slots = self._slots, self._slots + 1
            await asyncio.sleep(max(0.0, self._began + slot / self.rate - time.monotonic()))
            row = [chance.random() for _ in range(FEATURES)]
            path, body = self._request(slot, row)
            started = time.monotonic()
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                answer = await reader.readexactly(length)
            except (OSError, EOFError, asyncio.IncompleteReadError) as error:
                self.wrong.append(f"{type(error).__name__} at {path}")
                break
            self._judge(head, answer, time.monotonic() - started)
        writer.close()
        await writer.wait_closed()

    def _request(self, slot: int, row: list[float]) -> tuple[str, str]:
        """By turns: one line, and three rows by the model's name."""
        if slot % 2:
            return "/predict", json.dumps({"features": row})
        return f"/models/{self.name}/predict", json.dumps({"inputs": [row] * 3})

    def _judge(self, head: str, answer: bytes, seconds: float) -> None:
        self.seconds.append(seconds)
        if not head.startswith("http/1.1 200 "):
            self.wrong.append(f"{head.splitlines()[0]} {answer.decode()}")
            return
        body = json.loads(answer)
        version = body["model_version"]
        predictions = body.get("predictions", [body.get("prediction")])
        # Until the new version has taken over, the old one may say that it is archived.
        if {answer_of(version)} != set(predictions):
            self.wrong.append(answer.decode())
        self.versions[version] = self.versions.get(version, 0) + 1
        self.seen.setdefault(version, time.monotonic())
