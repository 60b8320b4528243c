"""A gateway in a process of its own, on a port of its own, with its log at hand."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from services.core.settings import Settings
from tests.support.patience import PATIENCE

ROOT = Path(__file__).parents[2]
# The first look at a registry imports MLflow, and the first model its library.


class Server:
    """A running `tests.support.serve_blobs`; `gate` is the file that holds its model back.

    Args:
        module: what to run instead, such as the gateway itself.
    """

    def __init__(
        self, folder: Path, *, module: str = "tests.support.serve_blobs", **settings: Any
    ) -> None:
        self.gate = folder / "gate"
        known = {name.upper() for name in Settings.model_fields}
        environment = {k: v for k, v in os.environ.items() if k not in known}
        values = {"PORT": 0, "DATA_DIR": folder, "SHUTDOWN_DELAY": 0, **settings}
        environment |= {name: str(value) for name, value in values.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, str(self.gate)],
            # Its own folder, so that no .env of the machine is read.
            cwd=folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            self.port: int = self.event("listening")["port"]
        except AssertionError:
            self.stop()
            raise
        self.url = f"http://127.0.0.1:{self.port}"

    def wait_ready(self) -> None:
        """Wait until the models may be asked."""
        self.event("Application startup complete.")
        until = time.monotonic() + PATIENCE
        with self.client() as client:
            while not client.get("/health/ready").is_success:
                assert time.monotonic() < until, "".join(self.lines[-50:])
                time.sleep(0.1)

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """Wait for a log entry with this event and these fields, and return it."""
        until = time.monotonic() + PATIENCE
        with self._changed:
            while True:
                for entry in self.entries():
                    if entry["event"] == name and fields.items() <= entry.items():
                        return entry
                left = until - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self._reader.is_alive()):
                    raise AssertionError(f"no {name} {fields} in: {''.join(self.lines)}")
                self._changed.wait(min(left, 0.2))

    def entries(self) -> list[dict[str, Any]]:
        """Return every log entry so far; what is no JSON is left out."""
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    def connect(self) -> socket.socket:
        """Open a connection of one's own."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def client(self) -> httpx.Client:
        """Return a client; the caller closes it."""
        return httpx.Client(base_url=self.url, timeout=PATIENCE)

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def stop(self) -> None:
        """End it, whatever state it is in."""
        self.gate.unlink(missing_ok=True)
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Server]:
    """Run a server for as long as the block lasts, ready from its beginning."""
    server = Server(folder, **settings)
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()
