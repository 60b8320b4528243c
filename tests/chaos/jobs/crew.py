"""Workers, a beat and a gateway that are killed at any time, and started again."""

import os
import random
import signal
import time
from contextlib import suppress
from typing import Any

import httpx
import psutil

from services.core.errors import LedgerUnavailableError
from services.jobs.names import INTERACTIVE
from tests.support.jobs_stand import Running, Stand, wait, with_group
from tests.support.mlflow_server import free_port
from tests.support.patience import PATIENCE

_HOOK = {"url": "http://127.0.0.1:9/", "events": ["completed"]}
_READY = "ready."


class ChaosStand(Stand):
    """A stand with a gateway; whatever a killed process left behind ends with it, too."""

    def __exit__(self, *details: object) -> None:
        for one in self.running:
            with_group(one.process, signal.SIGKILL)
        super().__exit__(*details)

    def gateway(self, **settings: Any) -> "Gateway":
        """Start a gateway, and wait until it is ready."""
        port = free_port()
        running = self.start("tests.chaos.jobs.serve", port=port, ledger_shipper="off", **settings)
        made = Gateway(running, port)
        made.wait_ready()
        return made

    def shipper(self) -> Running:
        """Start what moves records from the database into a journal, and indexes them."""
        return self.start("services.ledger")

    def freeze(self, running: Running) -> None:
        """Stop a process where it is, but not while it holds SQLite's only lock.

        All would wait for that until somebody kills it: one reason more for PostgreSQL.
        """
        while True:
            with_group(running.process, signal.SIGSTOP)
            with suppress(LedgerUnavailableError), self.database.begin(durable=False):
                return
            with_group(running.process, signal.SIGCONT)
            time.sleep(0.1)

    def accept(self, number: int, seconds: float) -> str:
        """Accept a job that says its number and wants to be told of, without a message."""
        return self.add({"do": "sleep", "seconds": seconds, "echo": number}, webhook=_HOOK)

    def add_jobs(self, numbers: range, seconds: float) -> list[str]:
        """Accept and publish jobs."""
        ids = [self.accept(number, seconds) for number in numbers]
        self.publish(*ids)
        return ids


class Gateway:
    """A gateway that runs."""

    def __init__(self, running: Running, port: int) -> None:
        self.running = running
        self.url = f"http://127.0.0.1:{port}"

    def wait_ready(self) -> None:
        """Wait until it answers."""

        def ready() -> bool:
            assert self.running.process.poll() is None, self.running.said[-4000:]
            with suppress(httpx.TransportError):
                return httpx.get(f"{self.url}/health/live", timeout=5).is_success
            return False

        wait(ready, 120, self.running)


class Crew:
    """So many workers of one queue; one that is killed is followed by another.

    Attributes:
        kills: how often each kind of death was died.
    """

    def __init__(self, stand: ChaosStand, size: int, seed: int) -> None:
        self._stand = stand
        self._random = random.Random(seed)
        self.kills: dict[str, int] = {}
        self.workers = [stand.worker() for _ in range(size)]

    def die(self, kind: str) -> None:
        """Let one die, in one of the ways, and start another."""
        place = self._random.randrange(len(self.workers))
        victim = self.workers[place]
        # One that is still starting holds nothing that could be lost.
        victim.wait_for(_READY)
        getattr(self, f"_{kind}")(victim)
        self.kills[kind] = self.kills.get(kind, 0) + 1
        if victim.process.poll() is not None:
            self.workers[place] = self._stand.start("tests.support.serve_jobs", INTERACTIVE)

    def stop(self) -> list[int]:
        """Ask all to end; return their exit codes."""
        for worker in self.workers:
            worker.wait_for(_READY)
            worker.process.terminate()
        return [worker.wait() for worker in self.workers]

    def _group(self, victim: Running) -> None:
        """All of it, at once."""
        victim.kill()

    def _child(self, victim: Running) -> None:
        """The process that does the job; its parent starts another."""
        children = victim.children()
        with suppress(ProcessLookupError):
            os.kill(self._random.choice(children), signal.SIGKILL)

    def _parent(self, victim: Running) -> None:
        """The parent alone: its child goes on with what it has, and nobody hears of it."""
        victim.process.kill()
        victim.process.wait(PATIENCE)

    def _pause(self, victim: Running) -> None:
        """No death: it stands still until its lease is another's, and then goes on."""
        self._stand.freeze(victim)
        time.sleep(self._stand.settings.job_lease + 6)
        with_group(victim.process, signal.SIGCONT)

    def stop_publish_kill(self, place: int, number: int) -> str:
        """Stop one that has nothing to do, publish, and kill it; return the job.

        If it was its turn, Redis has given the message to its connection by then. A worker asks
        for one second at a time: where it takes longer to publish, the message stays with Redis.
        """
        victim = self.workers[place]
        victim.wait_for(_READY)
        id = self._stand.accept(number, 0.0)
        self._stand.freeze(victim)
        self._stand.publish(id)
        time.sleep(self._random.uniform(0.2, 0.8))
        victim.kill()
        self.kills["stop, publish, kill"] = self.kills.get("stop, publish, kill", 0) + 1
        self.workers[place] = self._stand.start("tests.support.serve_jobs", INTERACTIVE)
        return id


def orphans(running: list[Running], seconds: float = PATIENCE) -> list[int]:
    """Return processes of groups whose first is gone, and which do not end by themselves."""
    groups = {one.pid for one in running if one.process.poll() is not None}
    until = time.monotonic() + seconds
    while found := [pid for pid in psutil.pids() if _group_of(pid) in groups]:
        if time.monotonic() > until:
            return found
        time.sleep(0.2)
    return []


def _group_of(pid: int) -> int | None:
    with suppress(OSError):
        return os.getpgid(pid)
    return None
