"""A family whose model does as it is told: answers, sleeps, fails, hangs, kills its process.

What is to be done stands in the payload: `{"do": "sleep", "seconds": 2, "mark": "/a/file"}`.
Every begin is noted as a line of that file, across processes.
"""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.core.errors import InvalidInputError
from services.core.settings import Settings
from services.families.base import Artifact, Family, Model, ModelInfo

NAME = "no-op"


class NoOpModel(Model):
    """Answers with its payload and the process that it ran in."""

    max_batch = 64

    def __init__(self, artifact: Artifact) -> None:
        self.info = ModelInfo(artifact.name, artifact.version, NAME, "nothing", "cpu", 0)

    def preprocess(self, payload: Any) -> Any:
        if payload.get("do") == "refuse":
            raise InvalidInputError("It is refused.", where="do", expected="something else")
        return payload

    def infer(self, batch: Sequence[Any]) -> list[Any]:
        return [self._do(payload) for payload in batch]

    def _do(self, payload: Any) -> dict[str, Any]:
        if mark := payload.get("mark"):
            with Path(mark).open("a", encoding="utf-8") as file:
                file.write(f"{os.getpid()}\n")
        match payload.get("do"):
            case "sleep":
                time.sleep(payload["seconds"])
            case "fail":
                raise ValueError("/secret/path")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                while True:
                    pass
        return {"echo": payload.get("echo"), "process": os.getpid()}

    def postprocess(self, prepared: Any, raw: Any) -> Any:
        return raw


class NoOpFamily(Family):
    """Opens a `NoOpModel`, which comes with it."""

    name = NAME
    task = "nothing"
    model_name = NAME

    def builtin(self, settings: Settings) -> Artifact:
        return Artifact(NAME, NAME, "1", Path(__file__).parent, example={"do": "echo"})

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        return NoOpModel(artifact)
