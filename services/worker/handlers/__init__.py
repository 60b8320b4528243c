"""What does the work of a job, by the name of its task. Each is imported with its first job."""

from collections.abc import Mapping
from importlib import import_module

from services.core.errors import ConfigurationError
from services.jobs.names import PREDICT_BATCH, SWEEP, TRAIN
from services.worker.work import Handler

# Predictions are not in here: they are made several at once, see `predict.py`.
HANDLERS: Mapping[str, tuple[str, str]] = {
    PREDICT_BATCH: ("batch", "predict_batch"),
    TRAIN: ("training", "train"),
    SWEEP: ("training", "sweep"),
}


def handler(task: str) -> Handler:
    """Return what does the work of a task.

    Raises:
        ConfigurationError: nothing here does: the job comes from a newer Slipway.
    """
    named = HANDLERS.get(task)
    if named is None:
        raise ConfigurationError(
            "No worker here knows this kind of job.",
            where="task",
            expected=", ".join(sorted(HANDLERS)),
        )
    module, function = named
    found: Handler = getattr(import_module(f"{__name__}.{module}"), function)
    return found
