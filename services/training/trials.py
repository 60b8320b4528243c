"""Trials of a sweep: one training each, with parameters of its own, here or in other processes."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from types import TracebackType
from typing import Any, Protocol, Self

from services.core.cores import available_cores
from services.core.errors import SlipwayError
from services.core.settings import Settings
from services.families.base import Fitted, Report, Split, TrainableFamily
from services.training import handover
from services.training.judge import judge_fitted
from services.training.pool import Pool, Task
from services.training.run import begin, fit
from services.training.tracking import Desk, TrainingRun


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a sweep.

    Attributes:
        number: from 1.
        params: those that the sweep drew.
        metrics: on held-out data; empty if it failed.
        error: why it failed; None if it did not.
    """

    number: int
    run_id: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A trial that is to be run: what the sweep drew, and every parameter."""

    number: int
    drawn: Mapping[str, Any]
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Candidate:
    """The model of a trial; `discard` gives back what it takes."""

    fitted: Fitted
    discard: Callable[[], None]


Outcome = tuple[Trial, Candidate | None]


@dataclass(frozen=True, slots=True)
class Ground:
    """What all trials of a sweep share.

    Attributes:
        tags: of their runs.
    """

    family: TrainableFamily
    desk: Desk
    settings: Settings
    split: Split
    source: Path | None
    seed: int
    tags: Mapping[str, str]

    def run(self, asked: Asked) -> TrainingRun:
        """Begin the run of a trial.

        Raises:
            RegistryUnavailableError: MLflow does not answer.
        """
        name = f"{self.family.name}-{asked.number}"
        return TrainingRun(self.desk, name=name, tags=self.tags)


class Runner(Protocol):
    """Runs trials; a context."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: Any) -> None: ...

    def run(self, asked: Sequence[Asked]) -> Iterator[Outcome | Asked]:
        """Return each trial when it begins, and what came of it when it has ended."""
        ...


class Here:
    """Runs one trial after the other, in this process."""

    def __init__(self, ground: Ground, report: Report | None) -> None:
        self._ground = ground
        self._report = report

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        return

    def run(self, asked: Sequence[Asked]) -> Iterator[Outcome | Asked]:
        """Run them; a failure of one is its outcome."""
        for one in asked:
            yield one
            yield self._train(one)

    def _train(self, asked: Asked) -> Outcome:
        family, split, seed = self._ground.family, self._ground.split, self._ground.seed
        run = self._ground.run(asked)
        try:
            with run:
                begin(run, split, asked.params, seed)
                fitted, seconds = fit(family, split, asked.params, seed, run, self._report)
                name = family.registered_name(asked.params)
                metrics = judge_fitted(family, fitted, name, split.held_out, self._ground.settings)
                run.final({**metrics, "training_seconds": seconds})
        except Exception as error:
            why = error.message if isinstance(error, SlipwayError) else type(error).__name__
            return Trial(asked.number, run.id, asked.drawn, error=why), None
        trial = Trial(asked.number, run.id, asked.drawn, metrics, seconds)
        return trial, Candidate(fitted, _keep)


class SideBySide:
    """Runs trials in as many processes as there are cores for, at most `parallel`.

    MLflow hears of all of them from this process, which is there until they have all ended.
    """

    def __init__(self, ground: Ground, fixed: Mapping[str, Any], parallel: int) -> None:
        self._ground = ground
        count = min(parallel, available_cores())
        settings = ground.settings.model_copy(update={"mlflow_tracking_uri": ground.desk.uri})
        start = {
            "settings": settings.model_dump(mode="json"),
            "family": ground.family.name,
            "source": None if ground.source is None else str(ground.source.absolute()),
            "params": dict(fixed),
            "threads": max(1, ground.settings.threads // count),
        }
        self._pool = Pool(start, count)
        self._open: dict[int, tuple[Asked, TrainingRun]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._scratch = Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="slipway-"))
        )
        self._stack.enter_context(self._pool)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # First the processes: what they do is not wanted any more.
        self._stack.close()
        for _, run in self._open.values():
            run.end(error)
        self._open.clear()

    def run(self, asked: Sequence[Asked]) -> Iterator[Outcome | Asked]:
        """Run them; a failure of one, and the death of its process, is its outcome."""
        by_number = {one.number: one for one in asked}
        for message in self._pool.run([self._task(one) for one in asked]):
            if message.body is None:
                one = by_number[message.number]
                run = self._ground.run(one)
                self._open[one.number] = one, run
                begin(run, self._ground.split, one.params, self._ground.seed)
                yield one
            elif message.last:
                yield self._ended(message.number, message.body)
            else:
                _, run = self._open[message.number]
                run.epoch(message.body["epoch"], message.body["metrics"])

    def _task(self, asked: Asked) -> Task:
        order = {
            "params": dict(asked.params),
            "seed": self._ground.seed,
            "folder": str(self._scratch / str(asked.number)),
        }
        return Task(asked.number, order)

    def _ended(self, number: int, body: Mapping[str, Any]) -> Outcome:
        asked, run = self._open.pop(number)
        folder = self._scratch / str(number)
        try:
            with run:
                if "error" in body:
                    raise SlipwayError(body["error"])
                run.tags({"environment.device": body["device"]})
                run.final({**body["metrics"], "training_seconds": body["seconds"]})
        except Exception as error:
            rmtree(folder, ignore_errors=True)
            why = error.message if isinstance(error, SlipwayError) else type(error).__name__
            return Trial(number, run.id, asked.drawn, error=why), None
        trial = Trial(number, run.id, asked.drawn, body["metrics"], body["seconds"])
        fitted = handover.read(folder)
        return trial, Candidate(fitted, lambda: rmtree(folder, ignore_errors=True))


def _keep() -> None:
    """What lies in memory goes when nobody refers to it."""
