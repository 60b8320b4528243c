"""Keeps a set of programs running until it is told to stop."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from itertools import groupby

from services.cli.supervisor.program import Program, Running, start

_READY_SECONDS = 120.0
_POLL_SECONDS = 0.25
# Seconds before a program that died is started again; each death soon after doubles it.
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0
# Having run so long, it counts as having worked.
_SETTLED_SECONDS = 60.0


class Supervisor:
    """Runs programs; the first of them is what it is all for: it is stopped first.

    When that one ends with an error before it ever settled, everything ends.
    """

    def __init__(self, programs: Sequence[Program], note: Callable[[str], None]) -> None:
        self._programs = programs
        self._note = note
        self._running: dict[str, Running] = {}
        self._ready = {program.name: asyncio.Event() for program in programs}
        self._signal: int | None = None
        self._stopping = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Run until SIGTERM, SIGINT, or the first program's failure; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        keepers = [asyncio.create_task(self._keep(program)) for program in self._programs]
        try:
            await self._stopping.wait()
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            await self._stop_all()
        return self._code

    def _on_signal(self, number: int) -> None:
        if self._signal is not None:
            for running in self._running.values():
                running.kill()
            return
        self._signal = number
        self._note("stopping")
        self._stopping.set()

    async def _stop_all(self) -> None:
        """Stop in order: nothing goes while something that uses it still runs."""
        number = self._signal or signal.SIGTERM
        for _, some in groupby(self._programs, lambda program: program.group or program.name):
            found = [self._running.get(program.name) for program in some]
            await asyncio.gather(*(one.stop(number) for one in found if one is not None))

    async def _keep(self, program: Program) -> None:
        """Start a program when it is its turn, and again whenever it dies."""
        for name in program.after:
            await self._ready[name].wait()
        delay = _FIRST_DELAY
        while True:
            running = await start(program)
            self._running[program.name] = running
            watch = asyncio.create_task(self._watch_ready(running))
            try:
                code = await running.process.wait()
            finally:
                watch.cancel()
            # What it leaves behind may still hold its port.
            running.kill()
            if program.once:
                self._note(f"{program.name} {'is done' if code == 0 else f'failed ({code})'}")
                return
            self._ready[program.name].clear()
            if running.age() >= _SETTLED_SECONDS:
                delay = _FIRST_DELAY
            elif program is self._programs[0] and delay == _FIRST_DELAY:
                self._code = code if code > 0 else 1
                self._stopping.set()
                return
            self._note(f"{program.name} ended ({code}); it starts again in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    async def _watch_ready(self, running: Running) -> None:
        program, patient = running.program, True
        # Another process: nothing here could set an event.
        while program.ready is not None and not await program.ready():
            if patient and running.age() >= _READY_SECONDS:
                patient = False
                self._note(f"{program.name} does not answer after {_READY_SECONDS:g} s")
            await asyncio.sleep(_POLL_SECONDS)
        self._ready[program.name].set()
