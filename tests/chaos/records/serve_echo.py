"""A gateway with a model that answers whatever it is told to: `python -m … GATE`.

`{"features": {"say": "nan"}}` is answered with what `SAYINGS` has for it, anything else with
itself. In the folder that it runs in a file `clock` may say how many seconds its clock is wrong.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from services.core.settings import Settings, get_settings
from services.families.base import Artifact, Family, Model, ModelInfo
from services.gateway.server import serve

SAYINGS: dict[str, Any] = {
    "nan": float("nan"),
    "infinities": [float("inf"), float("-inf")],
    "array": np.array([1.5, np.nan], np.float32),
    "bytes": b"\xff\xfe\x00",
    "surrogate": "\ud800 alone",
    "large number": 2**80,
    "long": "x" * 5_000_000,
}
NAME = "ml_classifier"


class Echo(Model):
    """Says it; `fail` fails."""

    info = ModelInfo(NAME, "1", "echo", "echo", "cpu", 0)

    def preprocess(self, payload: Any) -> Any:
        return payload["features"]

    def infer(self, batch: Sequence[Any]) -> list[Any]:
        return [self._answer(one) for one in batch]

    def postprocess(self, prepared: Any, raw: Any) -> dict[str, Any]:
        return {"prediction": raw}

    def _answer(self, asked: Any) -> Any:
        if not isinstance(asked, dict):
            return 1
        if asked["say"] == "fail":
            raise ValueError("as told")
        return SAYINGS[asked["say"]]


class EchoFamily(Family):
    """Has the one model."""

    name = "echo"
    task = "echo"
    model_name = NAME
    field = "features"

    def builtin(self, settings: Settings) -> Artifact:
        return Artifact("echo", NAME, "1", Path(), example={"features": [1.0]})

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        return Echo()


def wrong_clock(place: Path) -> None:
    """Let this process's clock be wrong by what the file says, from one moment to the next."""
    right, right_ns = time.time, time.time_ns

    def wrong() -> float:
        with suppress(FileNotFoundError, ValueError):
            return float(place.read_text())
        return 0.0

    time.time = lambda: right() + wrong()
    time.time_ns = lambda: right_ns() + int(wrong() * 1e9)


if __name__ == "__main__":
    wrong_clock(Path.cwd() / "clock")
    serve(get_settings(), {"echo": EchoFamily()})
    sys.exit(0)
