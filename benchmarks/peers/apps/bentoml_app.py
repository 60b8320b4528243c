"""BentoML: `bentoml serve bentoml_app:Classifier` (or `:Batches`); MODEL names the file."""

import os
from typing import Annotated, Any

import bentoml
import joblib  # type: ignore[import-untyped]
import numpy as np
from pydantic import Field


@bentoml.service(workers=1)
class Classifier:
    """One row in, class and probabilities out."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["MODEL"])

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(
        self, features: Annotated[list[float], Field(min_length=20, max_length=20)]
    ) -> dict[str, Any]:
        """Ask the model on the event loop: a thread for each request would cost more."""
        row = self.model.predict_proba(np.array([features]))[0]
        return {
            "prediction": self.model.classes_[row.argmax()].item(),
            "probability": row.tolist(),
        }


@bentoml.service(workers=1)
class Batches:
    """The same with adaptive batching, for which a request is a list of rows."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["MODEL"])

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)  # type: ignore[untyped-decorator]
    async def predict(self, features: list[list[float]]) -> list[dict[str, Any]]:
        """Ask the model once for all rows of a batch."""
        rows = self.model.predict_proba(np.array(features))
        classes = self.model.classes_[rows.argmax(axis=1)].tolist()
        return [
            {"prediction": chosen, "probability": row}
            for chosen, row in zip(classes, rows.tolist(), strict=True)
        ]
