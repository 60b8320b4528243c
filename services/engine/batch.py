"""One batch through the model, so that a request which breaks it breaks nobody else's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.engine.workers import as_failure
from services.families.base import Model


@dataclass(frozen=True, slots=True)
class Failed:
    """What one request of a batch ended with: an error of ours, or WorkFailed."""

    error: Exception


class WrongCountError(Exception):
    """The model gave another number of results than it was given payloads."""


def infer(model: Model, batch: Sequence[Any]) -> list[Any]:
    """Return one result for each prepared payload.

    Raises:
        WrongCountError: the model returned more or fewer.
    """
    results = list(model.infer(batch))
    if len(results) != len(batch):
        raise WrongCountError(f"{len(results)} results for {len(batch)} payloads")
    return results


def infer_each(model: Model, batch: Sequence[Any]) -> list[Any]:
    """Return one result or `Failed` for each; a batch that fails is halved until it is known why.

    With one poisonous request among n this takes about 2 log2(n) more calls.
    """
    try:
        return infer(model, batch)
    # Everything, SystemExit included: the thread must outlive whatever a model does.
    except BaseException as error:
        if len(batch) == 1:
            return [Failed(as_failure(error))]
    half = len(batch) // 2
    return infer_each(model, batch[:half]) + infer_each(model, batch[half:])
