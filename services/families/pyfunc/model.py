"""A model of MLflow in memory, whatever made it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from services.core.signature import Signature
from services.core.signature.problems import kind_of, refuse, stranger
from services.core.signature.validate import Checked, Validator, example_of
from services.families.base import Artifact, Model, ModelInfo, predict
from services.families.pyfunc import inputs
from services.families.pyfunc.outputs import alike, as_json, rows_between, rows_of, scores

_BATCH = 1024
_BODY = "an object with inputs, and params if need be"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Checked inputs; or a guess of what the model takes, where there is no signature."""

    params: Mapping[str, Any]
    checked: Checked | None = None
    guess: Any = None


class PyfuncModel(Model):
    """What `mlflow.pyfunc.load_model` returned, or anything with its `predict`.

    Payloads are only joined, and answers only kept, once `warm` has seen that the model answers
    each row by itself and the same row always alike.
    """

    def __init__(self, artifact: Artifact, native: Any, max_rows: int) -> None:
        self.native = native
        self.max_rows = max_rows
        self.example = artifact.example
        signature = artifact.signature
        self.signature = signature if signature is not None and signature.inputs else None
        self.arrays = self.signature is not None
        self.validator = Validator(signature or Signature(()), max_rows)
        self.repeatable = False
        self.info = ModelInfo(
            name=artifact.name,
            version=artifact.version,
            family=artifact.family,
            task="any",
            device="cpu",
            memory_bytes=_size(artifact),
            details={"signature": self.signature is not None},
        )

    def preprocess(self, payload: Any) -> Prepared:
        """Check `{"inputs": …, "params": …}` against the signature.

        Raises:
            InvalidInputError: what is wrong, where, and what was expected.
        """
        if self.signature is not None:
            checked = self.validator.payload(payload)
            return Prepared(checked.params, checked)
        if not isinstance(payload, Mapping):
            raise refuse("body", f"is {kind_of(payload)}", _BODY)
        for name in payload:
            if name not in ("inputs", "params"):
                raise refuse(stranger("body", name), "is unknown", _BODY)
        if "inputs" not in payload:
            raise refuse("inputs", "is missing", "the rows to predict")
        declared = self.validator.signature.params
        params = payload.get("params")
        return Prepared(
            self.validator.params(params) if declared else inputs.only_params(payload),
            guess=inputs.guess(payload["inputs"], self.max_rows),
        )

    def infer(self, batch: Sequence[Prepared]) -> Sequence[Any]:
        """Ask the model: once for all payloads without parameters, if it may be asked so."""
        together = [
            prepared.checked
            for prepared in batch
            if prepared.checked is not None and not prepared.params
        ]
        if self.max_batch == 1 or len(together) < 2:
            return [self._alone(prepared) for prepared in batch]
        parts = iter(self._together(together))
        return [
            next(parts) if prepared.checked is not None and not prepared.params
            else self._alone(prepared)
            for prepared in batch
        ]  # fmt: skip

    def postprocess(self, prepared: Prepared, raw: Any) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return {"predictions": as_json(raw)}

    def rows(self, prepared: Prepared) -> int:
        """Return the number of rows in a payload; 1 without a signature."""
        return 1 if prepared.checked is None else prepared.checked.rows

    def cache_key(self, prepared: Prepared) -> bytes | None:
        """Return the inputs' and parameters' bytes; None for models that may change their mind."""
        if prepared.checked is None or not self.repeatable:
            return None
        return inputs.key(prepared.checked)

    def confidences(self, output: Mapping[str, Any]) -> list[float]:
        """Return the highest probability of each row, where the answer is probabilities."""
        return scores(output["predictions"])

    def warm(self) -> None:
        """Answer the example, and see whether rows can be joined and answers kept.

        A made-up example proves nothing if the model fails on it: then neither is done.
        """
        example = self.example
        if example is None and self.signature is not None:
            example = example_of(self.signature)
        if example is None:
            return
        try:
            self._examine(example)
        except Exception:
            if self.example is not None:
                raise
            _log.info("made_up_example_failed", model=self.info.name, version=self.info.version)

    def close(self) -> None:
        """Let go of the model."""
        self.native = None

    def _examine(self, example: Any) -> None:
        prepared = self.preprocess(example)
        first, second = (predict(self, example)["predictions"] for _ in range(2))
        self.repeatable = bool(first == second)
        checked = prepared.checked
        if checked is None or prepared.params or not inputs.joinable(self.signature):
            return
        answer = self._alone(prepared)
        try:
            both = self._ask([checked, checked], {})
            if rows_of(answer) != checked.rows or rows_of(both) != 2 * checked.rows:
                return
            halves = (
                rows_between(both, 0, checked.rows),
                rows_between(both, checked.rows, 2 * checked.rows),
            )
            if all(alike(as_json(half), first) for half in halves):
                self.max_batch = _BATCH
        except Exception:
            # A model that takes one row at a time says so in its own way.
            _log.info("not_joinable", model=self.info.name, version=self.info.version)

    def _alone(self, prepared: Prepared) -> Any:
        if prepared.checked is None:
            return self._call(prepared.guess, prepared.params)
        return self._ask([prepared.checked], prepared.params)

    def _together(self, parts: Sequence[Checked]) -> list[Any]:
        if len({frozenset(part.columns) for part in parts}) > 1:
            # A column that only some bring would change its type in the others.
            return [self._ask([part], {}) for part in parts]
        answer = self._ask(parts, {})
        total = sum(part.rows for part in parts)
        if rows_of(answer) != total:
            return [self._ask([part], {}) for part in parts]
        found, start = [], 0
        for part in parts:
            found.append(rows_between(answer, start, start + part.rows))
            start += part.rows
        return found

    def _ask(self, parts: Sequence[Checked], params: Mapping[str, Any]) -> Any:
        assert self.signature is not None
        return self._call(inputs.build(self.signature, parts), params)

    def _call(self, data: Any, params: Mapping[str, Any]) -> Any:
        return (
            self.native.predict(data, params=dict(params)) if params else self.native.predict(data)
        )


def _size(artifact: Artifact) -> int:
    return sum(path.stat().st_size for path in artifact.folder.rglob("*") if path.is_file())
