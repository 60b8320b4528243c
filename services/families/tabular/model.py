"""A scikit-learn estimator in memory: rows in, predictions and probabilities out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from services.core.errors import InvalidInputError
from services.core.json_values import to_json
from services.core.received import describe
from services.core.signature import Signature
from services.core.signature.problems import kind_of, refuse, stranger
from services.core.signature.validate import Checked, Validator, example_of
from services.families.base import Model, ModelInfo
from services.families.tabular.predictor import Predictor
from services.families.tabular.rows import Builder

FIELD = "features"
_BATCH = 4096
_BODY = "an object with either features (one row) or inputs (several)"


@dataclass(slots=True, eq=False)
class Prepared:
    """Rows that fit the signature; `single`: asked for by the field of one row."""

    checked: Checked
    single: bool


@dataclass(slots=True, eq=False)
class Raw:
    """Predictions [rows] or [rows][outputs], and probabilities [rows][classes] of a classifier."""

    predictions: list[Any]
    probabilities: list[list[float | None]] | None


class TabularModel(Model):
    """A classifier or regressor of scikit-learn."""

    max_batch = _BATCH
    arrays = True

    def __init__(
        self, info: ModelInfo, estimator: Any, signature: Signature, max_rows: int
    ) -> None:
        self.info = info
        self.signature = signature
        self.max_rows = max_rows
        self.validator = Validator(signature, max_rows)
        self.builder = Builder(signature, estimator)
        self.predictor = Predictor(estimator)

    def preprocess(self, payload: Any) -> Prepared:
        """Check `{"features": row}` or `{"inputs": rows}` against the signature.

        Raises:
            InvalidInputError: what is wrong, where, and what was expected.
        """
        if not isinstance(payload, Mapping):
            raise refuse("body", f"is {kind_of(payload)}", _BODY, describe(payload))
        for name in payload:
            if name not in (FIELD, "inputs", "params"):
                raise refuse(stranger("body", name), "is unknown", _BODY)
        if (FIELD in payload) == ("inputs" in payload):
            raise refuse(
                "body", "does not have exactly one of features and inputs", _BODY, describe(payload)
            )
        self.validator.params(payload.get("params"))
        if FIELD in payload:
            return Prepared(self._row(payload[FIELD]), single=True)
        return Prepared(self.validator.inputs(payload["inputs"]), single=False)

    def infer(self, batch: Sequence[Prepared]) -> Sequence[Raw]:
        """Predict the rows of all payloads in one call of the estimator."""
        rows = self.builder.build([prepared.checked for prepared in batch])
        found, shares = self.predictor(rows)
        # Once for all: taken apart as arrays they would be turned into JSON one by one.
        predictions = to_json(found)
        probabilities = None if shares is None else to_json(shares)
        raws = []
        start = 0
        for prepared in batch:
            part = slice(start, start := start + prepared.checked.rows)
            chosen = None if probabilities is None else probabilities[part]
            raws.append(Raw(predictions[part], chosen))
        return raws

    def postprocess(self, prepared: Prepared, raw: Raw) -> dict[str, Any]:
        """Return the prediction of one row, or those of several with the classes' names."""
        predictions, probabilities = raw.predictions, raw.probabilities
        if prepared.single:
            output = {"prediction": predictions[0]}
            return output if probabilities is None else {**output, "probability": probabilities[0]}
        output = {"predictions": predictions}
        if probabilities is None:
            return output
        return {**output, "probabilities": probabilities, "classes": self.predictor.labels}

    def rows(self, prepared: Prepared) -> int:
        """Return the number of rows in a payload."""
        return prepared.checked.rows

    def cache_key(self, prepared: Prepared) -> bytes:
        """Return the rows' own bytes, and how they were asked for."""
        checked, form = prepared.checked, b"1" if prepared.single else b"n"
        if checked.matrix is not None:
            return form + repr(checked.matrix.shape).encode() + checked.matrix.tobytes()
        columns = {str(name): array.tolist() for name, array in checked.columns.items()}
        return form + orjson.dumps(columns, default=to_json)

    def confidences(self, output: Mapping[str, Any]) -> list[float]:
        """Return the probability of each chosen class."""
        if "probability" in output:
            return [_highest(output["probability"])]
        return [_highest(row) for row in output.get("probabilities", ())]

    def warm(self) -> None:
        """Predict one made-up row and many random ones, and choose the fastest way to do so."""
        checked = self.validator.payload(example_of(self.validator.signature))
        probe = self.builder.build([checked])
        if isinstance(probe, np.ndarray) and probe.ndim == 2 and probe.dtype.kind == "f":
            noise = np.random.default_rng(0).normal(size=(64, probe.shape[1]))
            probe = np.concatenate([probe, noise, noise * 100]).astype(probe.dtype)
        self.predictor.prepare(probe)

    def _row(self, value: Any) -> Checked:
        if type(value) is not list and type(value) is not dict:
            raise refuse(
                FIELD, f"is {kind_of(value)}", "a list of values, or an object", describe(value)
            )
        try:
            return self.validator.inputs([value], FIELD)
        except InvalidInputError as error:
            first = f"{FIELD}[0]"
            raise type(error)(
                error.message.replace(first, FIELD),
                where=(error.where or FIELD).replace(first, FIELD, 1),
                expected=error.expected,
                received=error.received,
            ) from None


def _highest(probabilities: Sequence[float | None]) -> float:
    return max(value or 0.0 for value in probabilities)
