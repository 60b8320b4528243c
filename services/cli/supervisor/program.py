"""One program under the supervisor: how it is started, stopped, and known to be up."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_KILL_SECONDS = 5.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>


@dataclass(frozen=True, slots=True)
class Program:
    """What to run.

    Attributes:
        name: for people.
        command: program and arguments.
        environment: all of it.
        log: file that takes its output; None: it writes where the supervisor writes.
        grace: seconds between asking it to end and ending it.
        once: it does one thing and ends; not started again.
        niceness: added to its priority number; above 0 it gives way to the others.
        ready: says whether it can be used; None: as soon as it runs.
        after: names of the programs that must be ready before this one starts.
        ended_by: signal that asks it to end; None: the one that the supervisor was asked with.
        group: neighbours of one group are stopped at the same time.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path | None = None
    grace: float = 10.0
    once: bool = False
    niceness: int = 0
    ready: Callable[[], Awaitable[bool]] | None = None
    after: tuple[str, ...] = ()
    ended_by: int | None = None
    group: str | None = None


@dataclass(slots=True)
class Running:
    """A program that was started."""

    program: Program
    process: asyncio.subprocess.Process
    started: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself or otherwise."""
        return self.process.returncode is not None

    def age(self) -> float:
        """Return the seconds since it was started."""
        return asyncio.get_running_loop().time() - self.started

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """Ask it to end, and end it with all its children when its grace is over."""
        if not self.ended:
            with suppress(ProcessLookupError):
                self.process.send_signal(self.program.ended_by or number)
            try:
                await asyncio.wait_for(self.process.wait(), self.program.grace)
            except TimeoutError:
                self.kill()
                await asyncio.wait_for(self.process.wait(), _KILL_SECONDS)
        # It leads a group of its own; what is left of that has lost its owner.
        self.kill()

    def kill(self) -> None:
        """End it and its children now."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


async def start(program: Program) -> Running:
    """Start a program in a session of its own, so that Ctrl-C reaches the supervisor alone."""
    output = _open_log(program.log)
    try:
        process = await asyncio.create_subprocess_exec(
            *program.command,
            env=dict(program.environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_before_exec(program.niceness),
        )
    finally:
        if output is not None:
            output.close()
    return Running(program, process)


def _open_log(path: Path | None) -> IO[bytes] | None:
    if path is None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


def _before_exec(niceness: int) -> Callable[[], None]:
    """Return what the child does first: end with its parent, however that ends."""
    # Looked up here: a forked child of a process with threads must not take locks.
    library = ctypes.CDLL(None) if sys.platform == "linux" else None

    def prepare() -> None:
        if library is not None:
            library.prctl(_DIE_WITH_PARENT, signal.SIGTERM)
        if niceness:
            os.nice(niceness)

    return prepare
