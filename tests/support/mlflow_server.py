"""A real MLflow server in a process of its own: SQLite and files in a temporary folder.

Share it: it takes some seconds to start. A `conftest.py` (or a test module) gets the fixture by
`from tests.support.mlflow_server import mlflow_server`, and the tests keep to names of their own.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.patience import PATIENCE

_STOP_SECONDS = 10.0


class MlflowServer:
    """A running server.

    Attributes:
        uri: its address.
        folder: where its database, its files and its log lie.
        port: stays the same when it is stopped and started again.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self) -> None:
        """Start it, again if need be, and wait until it answers."""
        command = [
            sys.executable, "-m", "mlflow", "server",
            "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}",
            "--artifacts-destination", str(self.folder / "artifacts"),
        ]  # fmt: skip
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        environment |= {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **self._environment,
        }
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A group of its own: its workers are stopped with it.
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it and its workers."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)

    def kill(self) -> None:
        """End it and its workers at once, in the middle of whatever they do."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)

    def freeze(self) -> None:
        """Let it hang: connections are taken, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def log(self) -> str:
        """Return what it has said so far."""
        return (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE
        with httpx.Client(trust_env=False, timeout=5) as client:
            while True:
                assert self._process is not None
                assert self._process.poll() is None, self.log()
                with suppress(httpx.HTTPError):
                    if client.get(f"{self.uri}/health").is_success:
                        return
                assert time.monotonic() < until, self.log()
                time.sleep(0.1)


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A server for all tests of the session; models and experiments of others are in it."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.stop()
