"""A family whose model does nothing, and workers that have it.

python -m benchmarks.jobs_nothing interactive --concurrency 2
python -m benchmarks.jobs_nothing beat
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.core.settings import Settings
from services.families.base import Artifact, Family, Model, ModelInfo
from services.worker.__main__ import main

NAME = "nothing"
PAYLOAD = {"features": [float(number) for number in range(20)]}


class NothingModel(Model):
    """Answers with the first number."""

    info = ModelInfo(NAME, "1", NAME, NAME, "cpu", 0)
    max_batch = 128

    def preprocess(self, payload: Any) -> float:
        """Return the first number."""
        return float(payload["features"][0])

    def infer(self, batch: Sequence[float]) -> list[float]:
        """Return what came in."""
        return list(batch)

    def postprocess(self, prepared: float, raw: float) -> dict[str, Any]:
        """Return it as a prediction."""
        return {"prediction": raw}


class NothingFamily(Family):
    """Has the one model."""

    name = NAME
    task = NAME
    model_name = NAME
    field = "features"

    def builtin(self, settings: Settings) -> Artifact:
        """Return the only version."""
        return Artifact(NAME, NAME, "1", Path(), example=PAYLOAD)

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        """Return its model."""
        return NothingModel()


if __name__ == "__main__":
    sys.exit(main(families={NAME: NothingFamily()}))
