"""The processes of `benchmarks.jobs`: a Redis, workers, and what they spend."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.peers.contenders import ROOT
from benchmarks.peers.server import free_port
from services.cli.supervisor.redis import server as redis_server
from services.core.settings import Settings

_STOP_SECONDS = 30.0
_START_SECONDS = 60.0
# A process that uses less than this share of a core is at rest.
_AT_REST = 0.1


def cpu_seconds(process: "subprocess.Popen[bytes]") -> float:
    """Return the processor time of a process and all its children so far, user and system."""
    total = 0.0
    with suppress(psutil.Error):
        first = psutil.Process(process.pid)
        for one in (first, *first.children(recursive=True)):
            with suppress(psutil.Error):
                times = one.cpu_times()
                total += times.user + times.system
                # Of children that have ended; the living are counted themselves.
                total += times.children_user + times.children_system
    return total


def wait_at_rest(processes: Mapping[str, "subprocess.Popen[bytes]"]) -> None:
    """Wait until what was started is done with starting."""
    until = time.monotonic() + _START_SECONDS
    used = sum(map(cpu_seconds, processes.values()))
    while time.monotonic() < until:
        time.sleep(0.5)
        before, used = used, sum(map(cpu_seconds, processes.values()))
        if used - before < _AT_REST * 0.5:
            return


@contextmanager
def running(
    module: str, *arguments: str, folder: Path, **variables: object
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run `python -m module` for the block, in a folder where no .env is read."""
    known = {name.upper() for name in Settings.model_fields}
    kept = {k: v for k, v in os.environ.items() if k not in known and not k.startswith("MLFLOW_")}
    given = {name: str(value) for name, value in variables.items()}
    with _process(
        [sys.executable, "-m", module, *arguments],
        folder,
        f"{module}-{arguments[0] if arguments else ''}",
        {**kept, **given, "PYTHONPATH": str(ROOT)},
    ) as process:
        yield process


@contextmanager
def redis(folder: Path) -> "Iterator[tuple[str, subprocess.Popen[bytes]]]":
    """Run a Redis as `slipway run` does, for the block; its address, and the process."""
    port = free_port()
    folder.mkdir(parents=True)
    command = [
        str(redis_server()), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder),
        "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
        "--maxmemory-policy", "noeviction",
    ]  # fmt: skip
    with _process(command, folder, "redis", dict(os.environ)) as process:
        yield f"redis://127.0.0.1:{port}/0", process


def wait_for(condition: Callable[[], bool], what: str, seconds: float = _START_SECONDS) -> None:
    """Wait until it holds.

    Raises:
        TimeoutError: it does not in time.
    """
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


@contextmanager
def _process(
    command: list[str], folder: Path, name: str, environment: Mapping[str, str]
) -> "Iterator[subprocess.Popen[bytes]]":
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        # Whatever it has started and left behind is in its session.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_STOP_SECONDS)
