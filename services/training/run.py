"""One training from beginning to end: read, fit, save, judge what was saved, register."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from services import __version__
from services.core.settings import Settings
from services.families.base import Family, Fitted, Report, Split, TrainableFamily
from services.registry.catalogue import Stage
from services.training import baseline, environment
from services.training.errand import Begun, Errand
from services.training.judge import judge
from services.training.listening import Heard
from services.training.parameters import complete
from services.training.publish import Release, keep, publish
from services.training.tracking import Desk, TrainingRun

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What came of a training.

    Attributes:
        family: its name.
        experiment: name of the MLflow experiment.
        run_id: of the run in it.
        link: address of the run in MLflow's pages; None without a server.
        params: every parameter, the defaults included.
        metrics: on held-out data, of the model as it was saved; 0 to 1 each.
        seconds: that fitting took.
        model_uri: where MLflow has the model.
        data_digest: of the data, see `Split`.
        name: under which it is or would be registered.
        version: the registry's number; None if it was not registered.
        stage: of that version.
    """

    family: str
    experiment: str
    run_id: str
    link: str | None
    params: Mapping[str, Any]
    seed: int
    metrics: Mapping[str, float]
    seconds: float
    model_uri: str
    data_digest: str
    name: str
    version: str | None = None
    stage: Stage | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def train(
    family: TrainableFamily,
    *,
    params: Mapping[str, Any],
    seed: int,
    source: Path | None,
    settings: Settings,
    register: bool = False,
    stage: Stage | None = None,
    version_tag: str | None = None,
    description: str = "",
    run_name: str | None = None,
    experiment: str | None = None,
    report: Report | None = None,
    note: Note | None = None,
    errand: Errand | None = None,
) -> TrainingResult:
    """Train a family and record the training in MLflow.

    Args:
        params: those that differ from the family's defaults.
        source: what to learn from; None: the data that comes with Slipway.
        register: whether to put the model into the registry, once it has been judged.
        stage: where to move it then.
        version_tag: the user's own version (`1.0.0`), kept as the tag `version`.
        report: called after each epoch or round.
        note: called with a few words for each step besides.
        errand: the job that it is done for.

    Raises:
        InvalidInputError: a parameter or the data cannot be used; no run is begun then.
        RegistryUnavailableError: MLflow does not answer.
        CheckpointError: the saved model does not do what the fitted one did.
    """
    chosen = complete(family, params)
    tell = note or _silent
    errand = errand or Errand()
    desk = Desk.open(settings, experiment, family.experiment or family.name)
    with threads(settings.threads):
        tell("reading data")
        split = family.read(source, chosen)
        tell(f"{split.source}: {split.rows[0]} to learn from, {split.rows[1]} held out")
        with TrainingRun(desk, name=run_name, tags=tags(family) | errand.tags) as run:
            errand.begun(Begun(desk.name, run.id, desk.link(run.id)))
            begin(run, split, chosen, seed)
            fitted, seconds = fit(family, split, chosen, seed, run, report)
            tell("saving, opening and judging the model")
            name = family.registered_name(chosen)
            heard = Heard()
            with keep(desk, run.id, family, fitted, name) as kept:
                metrics = judge(family, kept.artifact, split.held_out, settings, heard)
            baseline.keep(desk, run.id, family, heard, fitted.signature)
            run.final({**metrics, "training_seconds": seconds})
            result = TrainingResult(
                family=family.name,
                experiment=desk.name,
                run_id=run.id,
                link=desk.link(run.id),
                params=chosen,
                seed=seed,
                metrics=metrics,
                seconds=seconds,
                model_uri=kept.uri,
                data_digest=split.digest,
                name=name,
            )
            if not register:
                return result
            tell(f"registering {name}")
            release = Release(name, stage, version_tag, description, errand.id)
            errand.keep(run, result.as_json())
            version = publish(desk, run.id, family, kept.uri, release)
    return replace(result, version=version.version, stage=version.stage)


def tags(family: Family) -> dict[str, str]:
    """Return the tags of a run that trains a family here."""
    return {
        "slipway.family": family.name,
        "slipway.task": family.task,
        "slipway.version": __version__,
        **environment.tags(),
    }


def begin(run: TrainingRun, split: Split, params: Mapping[str, Any], seed: int) -> None:
    """Log what is known before the fit."""
    run.params({**params, "seed": seed})
    run.dataset(split)


def fit(
    family: TrainableFamily,
    split: Split,
    params: Mapping[str, Any],
    seed: int,
    run: TrainingRun,
    report: Report | None,
) -> tuple[Fitted, float]:
    """Fit, log the metrics of every epoch, and return the model and the seconds it took."""

    def both(done: int, total: int, metrics: Mapping[str, float]) -> None:
        run.epoch(done, metrics)
        if report is not None:
            report(done, total, metrics)

    started = time.perf_counter()
    fitted = family.fit(split, params, seed, both)
    seconds = time.perf_counter() - started
    # Only now is it known whether an accelerator was there to be used.
    run.tags({"environment.device": environment.device()})
    return fitted, seconds


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let the libraries that compute use so many threads; those still to be loaded read it."""
    variable = "OMP_NUM_THREADS"
    before = os.environ.get(variable)
    os.environ[variable] = str(count)
    torch = sys.modules.get("torch")
    torch_before = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before
        if torch:
            torch.set_num_threads(torch_before)


def _silent(message: str) -> None:
    return
