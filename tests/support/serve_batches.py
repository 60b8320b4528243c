"""A worker of the queue `batch` as a process of its own: `python -m tests.support.serve_batches`.

Settings come from the environment.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.core.errors import InvalidInputError
from services.core.settings import Settings
from services.core.signature import Field, Signature
from services.families.base import Artifact, Family, Model, ModelInfo
from services.worker import __main__ as door
from tests.gateway.families import ColourFamily
from tests.support.serve_predictions import Segmenter

TABLE = "table"


class Table(Model):
    """Adds x and y of each row; refuses what is negative. `do`: `sleep` y seconds, or `kill`."""

    signature = Signature(
        (
            Field("x", "double"),
            Field("y", "double", required=False),
            Field("do", "string", required=False),
        )
    )
    max_batch = 16

    def __init__(self, artifact: Artifact) -> None:
        self.info = ModelInfo(artifact.name, artifact.version, TABLE, "arithmetic", "cpu", 64)

    def preprocess(self, payload: Any) -> list[dict[str, Any]]:
        rows = payload["inputs"] if "inputs" in payload else [payload["row"]]
        found = [row if type(row) is dict else {"x": row} for row in rows]
        for index, row in enumerate(found):
            if type(row.get("x")) not in (int, float) or row["x"] < 0:
                raise InvalidInputError(
                    f"inputs[{index}].x is refused.", where=f"inputs[{index}].x", expected="x >= 0"
                )
        return found

    def rows(self, prepared: Any) -> int:
        return len(prepared)

    def infer(self, batch: Sequence[list[dict[str, Any]]]) -> list[list[float]]:
        return [[self._sum(row) for row in rows] for rows in batch]

    def _sum(self, row: Mapping[str, Any]) -> float:
        y = row.get("y") or 0.0
        if row.get("do") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if row.get("do") == "sleep":
            time.sleep(y)
        return float(row["x"] + y)

    def postprocess(self, prepared: Any, raw: list[float]) -> Mapping[str, Any]:
        return {"predictions": raw, "parities": [[int(value) % 2] for value in raw]}


class TableFamily(Family):
    """Takes rows, or a whole body with one `row`."""

    name = TABLE
    task = "arithmetic"
    model_name = TABLE
    field = "row"

    def builtin(self, settings: Settings) -> Artifact:
        example = {"row": {"x": 1.0}}
        return Artifact(TABLE, TABLE, "4", Path(__file__).parent, example=example)

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        return Table(artifact)


def families() -> dict[str, Family]:
    """A model of rows, one that segments, and one that classifies pictures."""
    return {TABLE: TableFamily(), "cutler": Segmenter(), "colours": ColourFamily()}


if __name__ == "__main__":
    sys.exit(door.main(["batch"], families()))
