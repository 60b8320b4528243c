"""A family small enough to train in a test: is a number above a threshold?

As a program, it is `slipway` with this family and no other: `python -m tests.training.toy train …`.
"""

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from services import families
from services.core.errors import InvalidInputError
from services.core.signature import Field, Signature
from services.families.base import (
    Artifact,
    Family,
    Fitted,
    Model,
    ModelInfo,
    Parameter,
    Report,
    Split,
    TrainableFamily,
)

if TYPE_CHECKING:
    from services.core.settings import Settings

SIGNATURE = Signature((Field("number", "double"),), (Field("above", "boolean"),))
Pairs = list[tuple[float, bool]]


class ToyModel(Model):
    def __init__(self, artifact: Artifact) -> None:
        self.signature = artifact.signature
        self.threshold = float(json.loads((artifact.folder / "toy.json").read_text()))
        self.info = ModelInfo(artifact.name, artifact.version, "toy", "toy-task", "cpu", 8)

    def preprocess(self, payload: Any) -> float:
        if not isinstance(payload, Mapping) or "number" not in payload:
            raise InvalidInputError("A number is missing.", where="number", expected="a number")
        return float(payload["number"])

    def infer(self, batch: Sequence[float]) -> list[bool]:
        return [number > self.threshold for number in batch]

    def postprocess(self, prepared: float, raw: bool) -> dict[str, bool]:
        return {"above": raw}


class ToyFamily(TrainableFamily):
    name = "toy"
    task = "toy-task"
    model_name = "toy-model"
    experiment = "toys"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("rounds", 5, "Rounds of guessing.", low=1, high=50),
        Parameter("learning_rate", 0.1, "Width of a guess.", low=0.0001, high=1.0, log=True),
        Parameter("guess", "middle", "Where to start.", choices=("middle", "bottom")),
        Parameter("pause", 0.0, "Seconds a round lasts.", low=0.0, tune=False),
        Parameter("flawed", False, "Fail in the fit.", tune=False),
        Parameter("mute", False, "Save a model that refuses its example.", tune=False),
    )

    def read(self, source: Path | None, params: Mapping[str, Any]) -> Split:
        if source is None:
            draw = Random(7)
            pairs = [(number, number > 0.4) for number in (draw.random() for _ in range(200))]
        else:
            lines = source.read_text().splitlines()
            pairs = [_parsed(line, at) for at, line in enumerate(lines, 1)]
        digest = hashlib.sha256(repr(pairs).encode()).hexdigest()
        name = "generated" if source is None else source.name
        held = max(1, len(pairs) // 4)
        return Split(pairs[held:], pairs[:held], digest, name, (len(pairs) - held, held))

    def fit(self, split: Split, params: Mapping[str, Any], seed: int, report: Report) -> Fitted:
        draw = Random(seed)
        best = 0.5 if params["guess"] == "middle" else 0.0
        for done in range(params["rounds"]):
            time.sleep(params["pause"])
            guess = best + draw.uniform(-1, 1) * params["learning_rate"]
            best = max((best, guess), key=lambda at: _accuracy(at, split.train))
            report(done + 1, params["rounds"], {"train_accuracy": _accuracy(best, split.train)})
        if params["flawed"]:
            raise RuntimeError("rounds diverged on alice@example.org")
        example = {} if params["mute"] else {"number": 0.5}
        return Fitted(
            lambda folder: _save(folder, best), SIGNATURE, example, {"guess": params["guess"]}
        )

    def open(self, artifact: Artifact, settings: "Settings") -> Model:
        return ToyModel(artifact)

    def evaluate(self, model: Model, held_out: Pairs) -> dict[str, float]:
        answers = model.infer([model.preprocess({"number": number}) for number, _ in held_out])
        right = [answer == above for answer, (_, above) in zip(answers, held_out, strict=True)]
        return {"accuracy": sum(right) / len(right)}

    def registered_name(self, params: Mapping[str, Any]) -> str:
        return "toy-model" if params["guess"] == "middle" else "toy-model-bottom"


def _save(folder: Path, threshold: float) -> None:
    (folder / "toy.json").write_text(json.dumps(threshold))


def _accuracy(threshold: float, pairs: Pairs) -> float:
    return sum((number > threshold) == above for number, above in pairs) / len(pairs)


def _parsed(line: str, at: int) -> tuple[float, bool]:
    number, _, above = line.strip().partition(",")
    try:
        return float(number), bool(int(above))
    except ValueError:
        raise InvalidInputError(
            f"Line {at} cannot be read.", where=f"line {at}", expected="number,0 or number,1"
        ) from None


FAMILY = ToyFamily()


def found(extra: Sequence[Path] = ()) -> dict[str, Family]:
    """Stands in for `services.families.discover`."""
    return {FAMILY.name: FAMILY}


if __name__ == "__main__":
    from services.cli.main import main

    families.discover = found
    main(sys.argv[1:])
