"""Predictions asked for through a gateway, and what it said to every single one."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.no_op import NAME
from tests.support.patience import PATIENCE


@dataclass
class Said:
    """What was answered.

    Attributes:
        accepted: the number of each prediction that was answered 202, by its id.
        refused: every other answer.
        broken: how often there was no answer.
    """

    accepted: dict[str, int] = field(default_factory=dict)
    refused: list[httpx.Response] = field(default_factory=list)
    broken: int = 0

    def statuses(self) -> Counter[int]:
        """Return how often each other status was answered."""
        return Counter(one.status_code for one in self.refused)


class Posting:
    """Posts from threads of its own, as fast as each is answered, until it is stopped.

    Args:
        pause: seconds between two of a thread.
    """

    def __init__(self, url: str, threads: int = 3, pause: float = 0.02) -> None:
        self.said = Said()
        self._url = url
        self._pause = pause
        self._next = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> Said:
        """End; return all that was said."""
        self._over.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(PATIENCE)
                assert not thread.is_alive()
        return self.said

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=PATIENCE) as client:
            while not self._over.is_set():
                with self._lock:
                    number, self._next = self._next, self._next + 1
                self._post(client, number)
                time.sleep(self._pause)

    def _post(self, client: httpx.Client, number: int) -> None:
        try:
            answer = post(client, {"do": "echo", "echo": number})
        except httpx.TransportError:
            with self._lock:
                self.said.broken += 1
            return
        with self._lock:
            if answer.status_code == httpx.codes.ACCEPTED:
                self.said.accepted[answer.json()["id"]] = number
            else:
                self.said.refused.append(answer)


def post(client: httpx.Client, given: dict[str, Any], **headers: str) -> httpx.Response:
    """Ask for one prediction."""
    return client.post("/predictions", json={"model": NAME, "input": given}, headers=headers)
