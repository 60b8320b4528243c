"""A real PostgreSQL server of the tests' own: in a temporary folder, on a port of its own.

A `conftest.py` gets the fixtures by `from tests.support.postgres import postgres_server,
postgres_url`. Where the program is missing (Debian: `postgresql`), tests that want it are skipped
with a notice, and fail under CI=true.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.mlflow_server import free_port
from tests.support.patience import PATIENCE

_STOP_SECONDS = 20.0
_USER, _PASSWORD = "slipway", "tops3cret"


class PostgresServer:
    """A running server, with a user and a password, on 127.0.0.1.

    Attributes:
        folder: its files.
        port: stays the same when it is stopped and started again.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # Not below pytest's folder: PostgreSQL does not run as root, and nobody else gets in there.
        self.folder = Path(tempfile.mkdtemp(prefix="slipway-postgres-"))
        self.port = free_port()
        self._process: subprocess.Popen[Any] | None = None
        try:
            self._make()
            self.start()
        except BaseException:
            self.remove()
            raise

    def url(self, database: str, *, password: str = _PASSWORD) -> str:
        """Return the address of one of its databases."""
        return f"postgresql://{_USER}:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database; return its address."""
        name = f"test_{uuid.uuid4().hex}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database that `new_database` made, whoever is still connected to it."""
        with self._connect() as connection:
            connection.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def start(self) -> None:
        """Start it, again if need be, and wait until it answers."""
        # It may lose all in a power failure; killed alone it does not.
        options = {
            "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off",
            "full_page_writes": "off", "shared_buffers": "32MB", "max_connections": "60",
        }  # fmt: skip
        command = [str(self._programs / "postgres"), "-D", str(self.folder / "data")]
        command += ["-p", str(self.port)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "server.log").open("ab") as log:
            self._process = process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_user(),
            )
        until = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None, self.log()
            with suppress(psycopg.OperationalError):
                self._connect().close()
                return
            assert time.monotonic() < until, self.log()
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it; connections are cut."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill it as a crash would."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        """Stop it and delete its files."""
        self.stop()
        shutil.rmtree(self.folder)

    def log(self) -> str:
        """Return what it has said so far."""
        return (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")

    def _make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(_PASSWORD, encoding="utf-8")
        if user := self._as_user().get("user"):
            shutil.chown(self.folder, user)
            shutil.chown(secret, user)
        command = [
            str(self._programs / "initdb"), "-D", str(self.folder / "data"), "-U", _USER,
            "--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C",
            "--no-sync",
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, **self._as_user()
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _as_user(self) -> dict[str, Any]:
        """Return what starts a process in the folder, and as `postgres` where we are root."""
        about: dict[str, Any] = {"cwd": self.folder, "env": {**os.environ, "LC_ALL": "C"}}
        if os.geteuid() == 0:
            about |= {"user": "postgres", "group": "postgres", "extra_groups": []}
        return about

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest if there are several."""
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    # Where Debian keeps them, out of the PATH.
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(found, key=lambda path: int(path.parts[-3]))
    return newest[-1].parent if newest else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server for all tests of the session; each makes databases of its own."""
    found = programs()
    if found is None:
        assert os.environ.get("CI") != "true", "PostgreSQL is missing"
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    server = PostgresServer(found)
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty database."""
    url = postgres_server.new_database()
    yield url
    postgres_server.drop_database(url)
