"""The order of a whole run: rounds over all contenders, then the open loops."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.load import Measured, Target
from benchmarks.peers.client import Client
from benchmarks.peers.contenders import Contender
from benchmarks.peers.cores import Cores
from benchmarks.peers.model import Trained
from benchmarks.peers.results import Results, Sample
from benchmarks.peers.server import Server, ServerError, running

_WARM_CONNECTIONS, _WARM_SECONDS = 32, 1.0
_OPEN_CONNECTIONS = 256
_OF_OURS, _OF_OWN = 0.5, 0.8
# Our generator is Python: beyond this it would measure itself.
_MOST_OPEN_RATE = 8000.0
# Numbers for the bodies of one measurement; `load.MARK` has ten million.
_STEP = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured; the open loop once, the closed loops `runs` times."""

    connections: Sequence[int]
    seconds: float
    runs: int
    open_loop: bool = True


class Session:
    """One run of the benchmark."""

    def __init__(
        self,
        plan: Plan,
        contenders: Sequence[Contender],
        trained: Trained,
        client: Client,
        peers: Path,
        share: Cores,
        err: Console,
    ) -> None:
        self._plan = plan
        self._trained = trained
        self._client = client
        self._peers = peers
        self._share = share
        self._err = err
        self._broken: set[str] = set()
        self._results = Results(list(contenders))

    def go(self, folder: Path) -> Results:
        """Measure everything; what does not start is said and left out."""
        everyone = self._results.contenders
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._err) as progress:
            rounds = self._plan.runs + self._plan.open_loop
            task = progress.add_task("", total=rounds * len(everyone))
            for number in range(self._plan.runs):
                # Nobody is always first, or always after the same one.
                start = number * len(everyone) // self._plan.runs
                for contender in (*everyone[start:], *everyone[:start]):
                    self._tell(progress, task, f"round {number + 1}: {contender.label}")
                    place = folder / f"{contender.name}-{number}"
                    self._with(contender, place, partial(self._closed, number))
            for contender in everyone if self._plan.open_loop else ():
                self._tell(progress, task, f"open loop: {contender.label}")
                self._with(contender, folder / f"{contender.name}-open", self._open)
            progress.update(task, description="done", completed=rounds * len(everyone))
        return self._results

    def _tell(self, progress: Progress, task: TaskID, text: str) -> None:
        progress.update(task, description=text)
        progress.advance(task)
        if not self._err.is_terminal:
            self._err.print(text)

    def _with(self, contender: Contender, folder: Path, use: Callable[["_Asked"], None]) -> None:
        """Start a server, warm it up and use it; one that does not work is not tried again."""
        if contender.name in self._broken:
            return
        try:
            with running(contender, self._trained, self._peers, self._share, folder) as server:
                asked = _Asked(server, self._trained.body(contender), self._client)
                try:
                    asked.closed(_WARM_CONNECTIONS, _WARM_SECONDS)
                    use(asked)
                except subprocess.SubprocessError as error:
                    problem = f"{contender.label} cannot be measured: {error}"
                    raise ServerError(f"{problem}\n{server.log_tail()}") from error
        except ServerError as error:
            self._broken.add(contender.name)
            self._err.print(f"left out: {error}", markup=False, soft_wrap=True)

    def _closed(self, number: int, asked: "_Asked") -> None:
        for connections in self._plan.connections:
            cpu = asked.server.cpu_seconds()
            found = asked.closed(connections, self._plan.seconds)
            sample = asked.sample(connections, number, found, cpu)
            self._results.closed.append(sample)
            self._err.print(
                f"  {asked.server.contender.label}, {connections}: {found.rate:,.0f}/s, "
                f"p50 {found.p50:.2f} ms, p99 {found.p99:.2f} ms, {sample.cpu:,.0f} µs CPU"
                + (f", {found.errors} errors" if found.errors else ""),
                soft_wrap=True,
            )

    def _open(self, asked: "_Asked") -> None:
        ours = self._results.peak("slipway") or 0.0
        own = self._results.peak(asked.server.contender.name) or 0.0
        for rate, of_own in ((_OF_OURS * ours, False), (_OF_OWN * own, True)):
            if not rate:
                continue
            chosen = min(rate, _MOST_OPEN_RATE)
            cpu = asked.server.cpu_seconds()
            found = asked.open(chosen, self._plan.seconds)
            sample = asked.sample(_OPEN_CONNECTIONS, 0, found, cpu, rate=chosen, own=of_own)
            self._results.open.append(sample)
            self._err.print(
                f"  {asked.server.contender.label}, {chosen:,.0f}/s: p50 {found.p50:.2f} ms, "
                f"p99 {found.p99:.2f} ms (client late by {found.late:.2f} ms)",
                soft_wrap=True,
            )


class _Asked:
    """A server and what it is asked; never the same twice."""

    def __init__(self, server: Server, body: str, client: Client) -> None:
        self.server = server
        self._body = body
        self._client = client
        self._firsts = count(step=_STEP)

    def closed(self, connections: int, seconds: float) -> Measured:
        """Measure a closed loop."""
        return self._client.closed(self._target(), connections, seconds)

    def open(self, rate: float, seconds: float) -> Measured:
        """Measure an open loop."""
        return self._client.open(self._target(), _OPEN_CONNECTIONS, seconds, rate)

    def sample(
        self,
        connections: int,
        number: int,
        found: Measured,
        cpu_before: float,
        *,
        rate: float | None = None,
        own: bool = False,
    ) -> Sample:
        """Add to a measurement what the server spent on it."""
        spent = self.server.cpu_seconds() - cpu_before
        return Sample(
            contender=self.server.contender.name,
            connections=connections,
            round=number,
            measured=found,
            cpu=1e6 * spent / max(1, found.requests),
            memory=self.server.memory_bytes(),
            rate=rate,
            own=own,
        )

    def _target(self) -> Target:
        contender = self.server.contender
        return Target(self.server.place.port, contender.path, self._body, next(self._firsts))
