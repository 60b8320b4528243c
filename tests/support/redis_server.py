"""A real Redis as jobs need it, on a free port, that tests may kill and start again."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from services.cli.supervisor.redis import server
from tests.support.mlflow_server import free_port
from tests.support.patience import PATIENCE


class RedisServer:
    """Keeps what it was given in `folder`, also when it is killed.

    Attributes:
        url: its address, the same after each start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        options = (
            "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder),
            "--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction",
        )  # fmt: skip
        self.process = subprocess.Popen([str(server()), *options], stdout=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    assert self.process.poll() is None and time.monotonic() < until
                    time.sleep(0.01)

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        self.process.kill()
        self.process.wait(PATIENCE)


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """Run one for the block."""
    made = RedisServer(folder)
    try:
        yield made
    finally:
        made.kill()
