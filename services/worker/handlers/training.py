"""Trainings and sweeps: fit, watched and cancellable, registered once however often it is begun."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from services.core.errors import LedgerUnavailableError, RegistryUnavailableError, SlipwayError
from services.core.logging import get_logger
from services.families.base import TrainableFamily
from services.jobs import payloads
from services.ledger.database import jobs as rows
from services.ledger.database.job_rows import RUNNING
from services.training import recovery
from services.training import run as training
from services.training.errand import Errand
from services.training.order import Order, named
from services.training.sweep import sweep as search
from services.training.tracking import abandon
from services.training.trials import Trial
from services.worker.handlers.training_progress import TrainingProgress
from services.worker.work import Canceled, Done, Interrupted, Reason, Work

_log = get_logger(__name__)

_GIVEN_UP = "The work on it was given up."
# What MLflow is given to note that a run was killed, before the process ends.
_ABANDON_SECONDS = 1.0
# An MLflow that is away when a job begins is waited for.
_WAIT_SECONDS = 600.0
_WAIT_PAUSE = 2.0
_ASK_PAUSE = 0.5

# Does it, and returns what is shown in lists, and the rest.
Fit = Callable[[TrainableFamily, Errand], tuple[Mapping[str, Any], dict[str, Any]]]


def train(work: Work) -> Done:
    """Train a model."""
    order = Order.from_json(work.job.options)
    progress = TrainingProgress(work)

    def fit(family: TrainableFamily, errand: Errand) -> tuple[Mapping[str, Any], dict[str, Any]]:
        result = training.train(
            family,
            params=order.params,
            seed=order.seed,
            source=None,
            settings=work.child.settings,
            register=order.register,
            stage=order.stage,
            version_tag=order.version_tag,
            description=order.description,
            run_name=order.run_name,
            experiment=order.experiment,
            report=progress.epoch,
            note=progress.note,
            errand=errand,
        )
        return result.as_json(), {"history": progress.history}

    return _done(work, order, progress, fit)


def sweep(work: Work) -> Done:
    """Train with parameters drawn anew, several at a time, and keep the best."""
    order = Order.from_json(work.job.options)
    asked = order.search
    assert asked is not None
    progress = TrainingProgress(work)

    def told(trial: Trial | None, number: int) -> None:
        if trial is not None:
            progress.trial(asked.runs, trial.metrics, failed=trial.error is not None)

    def fit(family: TrainableFamily, errand: Errand) -> tuple[Mapping[str, Any], dict[str, Any]]:
        result = search(
            family,
            runs=asked.runs,
            sampler=asked.sampler,
            seed=order.seed,
            source=None,
            settings=work.child.settings,
            fixed=order.params,
            parallel=asked.parallel,
            register_best=order.register,
            stage=order.stage,
            version_tag=order.version_tag,
            run_name=order.run_name,
            experiment=order.experiment,
            note=progress.note,
            on_trial=told,
            errand=errand,
        ).as_json()
        trials = result.pop("trials")
        best = result["best"]
        return {**result, "params": best["params"], "metrics": best["metrics"]}, {"trials": trials}

    return _done(work, order, progress, fit)


def _done(work: Work, order: Order, progress: TrainingProgress, fit: Fit) -> Done:
    """Do an order, unless an earlier worker did but for saying so."""
    work.keeper.on_abandon = partial(abandon, _GIVEN_UP, _ABANDON_SECONDS)
    errand = Errand(work.job.id, progress.begun, partial(_still_ours, work))
    try:
        family, _ = named(work.child.families, order.family)
        found = _begin(work, order, progress)
        result, output = (found, {}) if found is not None else fit(family, errand)
    except SlipwayError:
        raise
    except Exception as error:
        _log.exception("training failed", job_id=work.job.id)
        told = f"The training failed: {type(error).__name__}."
        return Done(error={"code": "training_failed", "message": told, "where": None})
    packed = payloads.pack_output(
        None, output, work.child.blobs, work.child.settings.job_inline_bytes
    )
    return Done({**result, "output": packed})


def _begin(work: Work, order: Order, progress: TrainingProgress) -> Mapping[str, Any] | None:
    """Wait for MLflow, and take up what an earlier worker left; return the result if it had one.

    Raises:
        RegistryUnavailableError: MLflow has been away for long.
    """
    settings, job = work.child.settings, work.job
    until = time.monotonic() + min(_WAIT_SECONDS, work.seconds_left)
    while True:
        try:
            # Also in the first attempt: a job that failed may have been asked for again.
            return recovery.take_up(settings, job.id, order.experiment, order.stage)
        except RegistryUnavailableError:
            if time.monotonic() > until:
                raise
        progress.note("waiting for MLflow")
        time.sleep(_WAIT_PAUSE)


def _still_ours(work: Work) -> None:
    """Go on if nobody else has the job by now, as the database knows it, not as it was lately.

    Raises:
        Canceled: somebody canceled it.
        Interrupted: it is another's, or nobody can say.
    """
    until = time.monotonic() + work.child.settings.job_lease
    while True:
        work.check()
        try:
            with work.child.database.reading() as connection:
                row = rows.get(connection, work.job.id)
        except LedgerUnavailableError:
            if time.monotonic() > until:
                raise Interrupted(Reason.LOST) from None
            time.sleep(_ASK_PAUSE)
            continue
        if row is None or row.state != RUNNING or row.token != work.job.token:
            raise Interrupted(Reason.LOST)
        if row.cancel:
            raise Canceled
        return
