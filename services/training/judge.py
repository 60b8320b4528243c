"""Judge a model as it will be served: opened from its files, through the three steps of predict."""

import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.core.errors import CheckpointError
from services.core.settings import Settings
from services.families.base import Artifact, Family, Fitted, Model, TrainableFamily, predict
from services.training.listening import Heard, Listening


def judge(
    family: TrainableFamily,
    artifact: Artifact,
    held_out: Any,
    settings: Settings,
    heard: Heard | None = None,
) -> dict[str, float]:
    """Open a version, replay its example, and return its metrics on held-out data, 0 to 1 each.

    Args:
        heard: is told what the model is asked and what it answers.

    Raises:
        CheckpointError: it does not answer its own example, or its metrics are no numbers.
    """
    model = family.open(artifact, settings)
    try:
        _replay(model, artifact.example)
        asked = model if heard is None else Listening(model, heard)
        metrics = {name: float(value) for name, value in family.evaluate(asked, held_out).items()}
    finally:
        model.close()
    _sane(metrics, family.gates.metric)
    return metrics


def answer_example(family: Family, artifact: Artifact, settings: Settings) -> None:
    """Open a version and replay its example: for models that there is nothing to judge by.

    Raises:
        CheckpointError: it does not answer it.
    """
    model = family.open(artifact, settings)
    try:
        _replay(model, artifact.example)
    finally:
        model.close()


def judge_fitted(
    family: TrainableFamily, fitted: Fitted, name: str, held_out: Any, settings: Settings
) -> dict[str, float]:
    """Like `judge`, for a model that may never be kept: it is saved only to be opened."""
    with saved(family, fitted, name) as artifact:
        return judge(family, artifact, held_out, settings)


@contextmanager
def saved(family: TrainableFamily, fitted: Fitted, name: str) -> Iterator[Artifact]:
    """Save a model into a folder that lasts as long as this context."""
    with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
        fitted.save(Path(folder))
        yield Artifact(
            family=family.name,
            name=name,
            version="candidate",
            folder=Path(folder),
            config=fitted.config,
            signature=fitted.signature,
            example=fitted.example,
        )


def _replay(model: Model, example: Any) -> None:
    if example is None:
        return
    try:
        predict(model, example)
    except Exception as error:
        raise CheckpointError("The saved model does not answer its own example.") from error


def _sane(metrics: Mapping[str, float], gate: str) -> None:
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if gate not in metrics or bad:
        raise CheckpointError(
            "The model cannot be judged.",
            where=bad[0] if bad else gate,
            expected="a finite number from 0 to 1",
        )
