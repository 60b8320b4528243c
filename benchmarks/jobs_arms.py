"""What `benchmarks.jobs` compares: a bare Celery, Slipway's queue, and no queue at all."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from benchmarks.jobs_nothing import NAME, PAYLOAD, NothingFamily
from benchmarks.jobs_processes import cpu_seconds, running, wait_at_rest
from benchmarks.jobs_report import BARE, INSIDE, SLIPWAY
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine.engine import Engine
from services.engine.messages import PredictRequest
from services.jobs.desk import JobDesk
from services.jobs.names import INTERACTIVE, PREDICT
from services.jobs.submission import NewWork
from services.ledger.database.job_rows import SUCCEEDED

_SECONDS = 120.0

Processes = dict[str, "subprocess.Popen[bytes]"]


class Arm(Protocol):
    """One of them; its callers are this very process."""

    name: str
    processes: Processes

    def many(self, count: int) -> float:
        """Do so many jobs at once; return the seconds until every result was seen."""

    def one(self) -> float:
        """Do one; return the seconds."""


def payload(number: int) -> dict[str, Any]:
    """Return a payload that is no other's."""
    return {**PAYLOAD, "features": [float(number), *PAYLOAD["features"][1:]]}


class Bare:
    """Celery with its own results, as its documentation begins."""

    name = BARE

    def __init__(self, processes: Processes) -> None:
        from benchmarks.jobs_bare import app, nothing

        self.processes = processes
        self._app, self._task = app, nothing

    def many(self, count: int) -> float:
        """Send all, then wait for all in the quickest way that its Redis backend has."""
        from celery.result import ResultSet

        began = time.perf_counter()
        sent = [self._task.delay(payload(number)) for number in range(count)]
        found = ResultSet(sent, app=self._app).join_native(timeout=_SECONDS)
        seconds = time.perf_counter() - began
        assert [one["prediction"] for one in found] == list(range(count))
        return seconds

    def one(self) -> float:
        """Send it and wait."""
        began = time.perf_counter()
        assert self._task.delay(payload(7)).get(timeout=_SECONDS)["prediction"] == 7
        return time.perf_counter() - began


class Queue:
    """Slipway's: the desk that a gateway has, a worker and a beat."""

    name = SLIPWAY

    def __init__(self, processes: Processes, desk: JobDesk, runner: asyncio.Runner) -> None:
        self.processes = processes
        self._desk = desk
        self._runner = runner

    def many(self, count: int) -> float:
        """Submit all, and wait for each."""

        async def all_of_them() -> float:
            began = time.perf_counter()
            found = await asyncio.gather(*(self._do(number) for number in range(count)))
            seconds = time.perf_counter() - began
            assert found == list(range(count))
            return seconds

        return self._runner.run(all_of_them())

    def one(self) -> float:
        """Submit it and wait."""

        async def once() -> float:
            began = time.perf_counter()
            assert await self._do(7) == 7
            return time.perf_counter() - began

        return self._runner.run(once())

    async def _do(self, number: int) -> float:
        work = NewWork(
            INTERACTIVE,
            PREDICT,
            NAME,
            options={"version": None, "stage": None},
            payload=payload(number),
            family=NAME,
        )
        job, _ = await self._desk.submit(work)
        ended = await self._desk.wait(job.id, _SECONDS)
        assert ended.state == SUCCEEDED, ended.error
        result = await self._desk.result(ended)
        return float(result["output"]["prediction"])


class Inside:
    """An engine in this process: what there is to do without any queue."""

    name = INSIDE

    def __init__(self, engine: Engine, runner: asyncio.Runner) -> None:
        self.processes: Processes = {}
        self._engine = engine
        self._runner = runner

    def many(self, count: int) -> float:
        """Predict all at once."""

        async def all_of_them() -> float:
            began = time.perf_counter()
            for number in range(count):
                await self._engine.predict(PredictRequest(NAME, payload(number)))
            return time.perf_counter() - began

        return self._runner.run(all_of_them())

    def one(self) -> float:
        """Predict."""

        async def once() -> float:
            began = time.perf_counter()
            await self._engine.predict(PredictRequest(NAME, payload(7)))
            return time.perf_counter() - began

        return self._runner.run(once())


@contextmanager
def bare(
    url: str, server: "subprocess.Popen[bytes]", folder: Path, concurrency: int
) -> Iterator[Bare]:
    """Have a Celery worker for the block."""
    folder.mkdir()
    os.environ["BROKER"] = url
    arguments = (
        "--app", "benchmarks.jobs_bare", "worker", "--pool", "prefork",
        "--concurrency", str(concurrency), "--loglevel", "WARNING",
    )  # fmt: skip
    with running("celery", *arguments, folder=folder, BROKER=url) as worker:
        arm = Bare({"worker": worker, "redis": server})
        arm.one()
        wait_at_rest(arm.processes)
        yield arm


@contextmanager
def queue(
    url: str, server: "subprocess.Popen[bytes]", folder: Path, concurrency: int
) -> Iterator[Queue]:
    """Have a worker of Slipway's, a beat and a desk for the block."""
    folder.mkdir()
    values: dict[str, Any] = {
        "redis_url": url, "data_dir": folder / "data", "log_level": "WARNING",
    }  # fmt: skip
    variables = {name.upper(): value for name, value in values.items()}
    module = "benchmarks.jobs_nothing"
    number = str(concurrency)
    with ExitStack() as stack:
        worker = stack.enter_context(
            running(module, INTERACTIVE, "--concurrency", number, folder=folder, **variables)
        )
        beat = stack.enter_context(running(module, "beat", folder=folder, **variables))
        runner = stack.enter_context(asyncio.Runner())
        desk = JobDesk(Settings(_env_file=None, **values))
        desk.start()
        stack.callback(lambda: runner.run(desk.close()))
        arm = Queue({"worker": worker, "beat": beat, "redis": server}, desk, runner)
        arm.one()
        wait_at_rest(arm.processes)
        yield arm


@contextmanager
def inside(folder: Path) -> Iterator[Inside]:
    """Have an engine for the block."""
    settings = Settings(_env_file=None, data_dir=folder / "inside")
    with asyncio.Runner() as runner:

        async def start() -> Engine:
            engine = Engine(settings, {NAME: NothingFamily()}, Metrics())
            engine.start()
            return engine

        engine = runner.run(start())
        try:
            arm = Inside(engine, runner)
            _until_ready(arm)
            yield arm
        finally:
            runner.run(engine.close())


def spent(arm: Arm, count: int) -> tuple[float, dict[str, float]]:
    """Do many; return the seconds, and µs of processor time for each job, by process."""
    before = {name: cpu_seconds(one) for name, one in arm.processes.items()}
    own = time.process_time()
    seconds = arm.many(count)
    cpu = {"caller": time.process_time() - own}
    cpu |= {name: cpu_seconds(one) - before[name] for name, one in arm.processes.items()}
    return seconds, {name: 1e6 * used / count for name, used in cpu.items()}


def _until_ready(arm: Inside) -> None:
    from services.core.errors import ModelUnavailableError

    until = time.monotonic() + _SECONDS
    while True:
        try:
            arm.one()
            return
        except ModelUnavailableError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
