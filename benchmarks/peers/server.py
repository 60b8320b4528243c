"""One contender's server: started, checked, watched, and ended with everything it started."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
import psutil

from benchmarks.peers import cores
from benchmarks.peers.contenders import Contender, Place, Role, environment_of, interpreter
from benchmarks.peers.model import Trained

_START_SECONDS = 120.0
_STOP_SECONDS = 10.0
_SETTLE_SECONDS = 30.0
_TAIL_LINES = 25
# A server that uses less than this share of a core is at rest.
_AT_REST = 0.05
_TOLERANCE = 1e-4


class ServerError(Exception):
    """It did not start, or answers something wrong; the message has the end of its log."""


class Server:
    """A running server. Its processes form a session of their own, by which they are found."""

    def __init__(self, contender: Contender, place: Place, process: "subprocess.Popen[bytes]"):
        self.contender = contender
        self.place = place
        self._process = process
        # Those that left the session are remembered from when they were still children.
        self._strays: set[psutil.Process] = set()

    def wait_ready(self, trained: Trained) -> None:
        """Wait until it answers every question rightly, and is at rest.

        Raises:
            ServerError: it ended, answers wrongly, or takes too long.
        """
        until = time.monotonic() + _START_SECONDS
        with httpx.Client(base_url=f"http://127.0.0.1:{self.place.port}", timeout=10) as client:
            while (problem := self._problem(client, trained)) is not None:
                if self._process.poll() is not None:
                    raise self._error(f"ended with code {self._process.returncode}")
                if time.monotonic() > until:
                    raise self._error(problem)
                time.sleep(0.2)
        self._settle()

    def _problem(self, client: httpx.Client, trained: Trained) -> str | None:
        """Return what is still wrong with it."""
        contender = self.contender
        try:
            if contender.ready and not client.get(contender.ready).is_success:
                return f"{contender.ready} does not answer 200"
            for question in trained.questions:
                answer = client.post(contender.path, json=contender.body(question.row))
                if answer.status_code != httpx.codes.OK:
                    return f"answers {answer.status_code}: {answer.text[:300]}"
                if contender.role is Role.FLOOR:
                    continue
                prediction, probabilities = contender.read(answer.json())
                near = np.allclose(probabilities, question.probabilities, atol=_TOLERANCE)
                if prediction != question.prediction or not near:
                    return f"answers wrongly: {answer.text[:300]}"
        except httpx.TransportError as error:
            return f"does not answer: {error!r}"
        except (ValueError, KeyError, IndexError, TypeError) as error:
            return f"answers in another shape: {error!r}"
        return None

    def _settle(self) -> None:
        until = time.monotonic() + _SETTLE_SECONDS
        used = self.cpu_seconds()
        while time.monotonic() < until:
            time.sleep(0.5)
            before, used = used, self.cpu_seconds()
            if used - before < _AT_REST * 0.5:
                return

    def cpu_seconds(self) -> float:
        """Return the processor time of all its processes so far, user and system."""
        total = 0.0
        for process in self._processes():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory_bytes(self) -> int:
        """Return the memory that its processes have for themselves."""
        total = 0
        for process in self._processes():
            with suppress(psutil.Error):
                total += process.memory_full_info().uss
        return total

    def _processes(self) -> list[psutil.Process]:
        found = set()
        with suppress(psutil.Error):
            self._strays.update(psutil.Process(self._process.pid).children(recursive=True))
        for process in psutil.process_iter():
            with suppress(OSError):
                if os.getsid(process.pid) == self._process.pid:
                    found.add(process)
        return [*found, *(self._strays - found)]

    def stop(self) -> None:
        """Ask it to end, and end whatever of it is left."""
        processes = self._processes()
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        for process in {*processes, *self._processes()}:
            # psutil knows a process by its start as well, so that no other of its number is hit.
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        self._process.wait(_STOP_SECONDS)

    def log_tail(self) -> str:
        """Return the end of what it said."""
        text = (self.place.folder / "server.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-_TAIL_LINES:])

    def _error(self, problem: str) -> ServerError:
        return ServerError(f"{self.contender.label} {problem}\n{self.log_tail()}")


@contextmanager
def running(
    contender: Contender, trained: Trained, peers: Path, share: cores.Cores, folder: Path
) -> Iterator[Server]:
    """Run a server for as long as the block lasts, checked and at rest from its beginning.

    Raises:
        ServerError: see `Server.wait_ready`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = Place(interpreter(contender, peers), free_port(), folder, trained.folder)
    command = contender.command(place)
    variables = environment_of(contender, place)
    (folder / "command.json").write_text(json.dumps(command), encoding="utf-8")
    with (folder / "server.log").open("wb") as log, cores.on(share.server):
        process = subprocess.Popen(
            command,
            # Its own folder, so that no .env is read.
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(contender, place, process)
    try:
        server.wait_ready(trained)
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """Return a port that the system says is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
