"""`slipway train --queue`: the training becomes a job, which a worker does."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.cli import jobs_sources
from services.cli.console import UsageError, err, out
from services.core.errors import InvalidInputError
from services.families.base import TrainableFamily
from services.jobs.names import TRAIN, TRAINING

if TYPE_CHECKING:
    from services.training.order import Order


def queued_order(
    family: TrainableFamily,
    params: Mapping[str, Any],
    experiment: str | None,
    data: Path | None,
) -> "Order":
    """Return an order for a worker, which may be on another machine.

    Raises:
        UsageError: it names a file of this machine, or a parameter is not accepted.
    """
    from services.training.order import Order, checked
    from services.training.tracking import experiment_name

    if data is not None:
        raise UsageError(
            "A worker learns from the data that comes with Slipway.",
            where="--data",
            expected="nothing beside --queue",
        )
    try:
        chosen = checked(family, params)
    except InvalidInputError as error:
        raise UsageError(error.message, where=error.where, expected=error.expected) from None
    name = experiment_name(jobs_sources.settings(), experiment, family.experiment or family.name)
    return Order(family.name, chosen, name)


def hand_over(order: "Order", *, as_json: bool) -> None:
    """Queue an order, durably, and say how to follow it.

    Raises:
        JobsUnavailableError: this Slipway takes no jobs.
        OverloadedError, LedgerUnavailableError: there is no room for it now.
    """
    from services.jobs.submission import NewWork

    with jobs_sources.store() as store:
        job, _ = store.submit(NewWork(TRAINING, TRAIN, order.family, order.as_json(), caller=None))
    if as_json:
        out.print(json.dumps({"id": job.id, "job_id": f"job_{job.number:06d}"}))
        return
    out.print(job.id, soft_wrap=True)
    err.print(f"queued as job_{job.number:06d}; follow it: slipway jobs wait {job.id}")
