"""The whole source of a family: what it takes to add one."""

THROW_AWAY = '''
"""Says whether a number is positive, as far as it learned where zero is."""

import hashlib
import json

from services.core.errors import CheckpointError, InvalidInputError
from services.core.signature import Field, Signature
from services.families.base import (
    Fitted, Gates, Model, ModelInfo, Parameter, Split, TrainableFamily, predict,
)


class SignModel(Model):
    max_batch = 64

    def __init__(self, info, border):
        self.info, self.border = info, border

    def preprocess(self, payload):
        point = payload.get("point") if isinstance(payload, dict) and len(payload) == 1 else None
        value = point.get("x") if isinstance(point, dict) else None
        if type(value) not in (int, float) or value != value or abs(value) > 1e9:
            raise InvalidInputError("No number.", where="point.x", expected="a number")
        return float(value)

    def infer(self, batch):
        return [value > self.border for value in batch]

    def postprocess(self, prepared, raw):
        return {"positive": raw, "confidence": 1.0}

    def cache_key(self, prepared):
        return repr(prepared).encode()

    def confidences(self, output):
        return [output["confidence"]]


class SignFamily(TrainableFamily):
    name = "extra-sign"
    task = "sign-detection"
    model_name = "sign"
    field = "point"
    experiment = "sign"
    gates = Gates(metric="accuracy")
    parameters = (Parameter("rows", 100, "numbers to learn from", low=10, high=1000),)

    def open(self, artifact, settings):
        try:
            border = json.loads((artifact.folder / "border.json").read_text())
        except (OSError, ValueError) as error:
            raise CheckpointError("No border.") from error
        info = ModelInfo(artifact.name, artifact.version, self.name, self.task, "cpu", 8)
        return SignModel(info, border)

    def read(self, source, params):
        numbers = [i - params["rows"] / 2 for i in range(params["rows"])]
        digest = hashlib.sha256(repr(numbers).encode()).hexdigest()
        return Split(numbers[::2], numbers[1::2], digest, "generated", (50, 50))

    def fit(self, split, params, seed, report):
        border = max(number for number in split.train if number <= 0)
        report(1, 1, {"border": border})
        signature = Signature((Field("x", "double"),))
        return Fitted(
            lambda folder: (folder / "border.json").write_text(json.dumps(border)),
            signature, {"point": {"x": 3}},
        )

    def evaluate(self, model, held_out):
        right = sum(predict(model, {"point": {"x": n}})["positive"] == (n > 0) for n in held_out)
        return {"accuracy": right / len(held_out)}


FAMILY = SignFamily()
'''
