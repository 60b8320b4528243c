"""Overhears how a model is judged: what it was asked and what it answered becomes its baseline.

Every family asks the saved model about its held-out data, in the payloads that callers send. To
listen there costs nothing, needs no word from the family, and gives answers to what the model has
not learned from: of what it has, it is surer than it will ever be again.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

from services.families.base import Model

# Payloads that are kept, an even choice of all.
_MOST = 2000


class Heard:
    """Payloads and their answers; an answer is None where the judging did without."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._draw = Random(0)
        self._count = 0
        self._asked: list[list[Any]] = []
        # By what `preprocess` made of a payload: its place among those that are kept.
        self._open: dict[int, tuple[Any, list[Any]]] = {}

    @property
    def pairs(self) -> list[tuple[Any, Any]]:
        """Each payload with its output, in no order."""
        return [(payload, output) for payload, output in self._asked]

    def asked(self, payload: Any, prepared: Any) -> None:
        """Note a payload, or pass it over: each has the same chance to be kept in the end."""
        self._count += 1
        pair = [payload, None]
        if len(self._asked) < self._most:
            self._asked.append(pair)
        else:
            place = self._draw.randrange(self._count)
            if place >= self._most:
                return
            self._asked[place] = pair
        # Held as long as it is waited for: its number would be given away again.
        self._open[id(prepared)] = (prepared, pair)

    def answered(self, prepared: Any, output: Any) -> None:
        """Note the output of a payload."""
        _, pair = self._open.pop(id(prepared), (None, None))
        if pair is not None:
            pair[1] = output


class Listening(Model):
    """A model that tells what goes in and out, and is otherwise the one behind it."""

    def __init__(self, model: Model, heard: Heard) -> None:
        self._model = model
        self._heard = heard
        self.info = model.info
        self.signature = model.signature
        self.max_batch = model.max_batch
        self.arrays = model.arrays

    def __getattr__(self, name: str) -> Any:
        # What a family's own model has beyond the contract.
        return getattr(self._model, name)

    def preprocess(self, payload: Any) -> Any:
        """As the model does."""
        prepared = self._model.preprocess(payload)
        self._heard.asked(payload, prepared)
        return prepared

    def infer(self, batch: Sequence[Any]) -> Sequence[Any]:
        """As the model does."""
        return self._model.infer(batch)

    def postprocess(self, prepared: Any, raw: Any) -> Any:
        """As the model does."""
        output = self._model.postprocess(prepared, raw)
        self._heard.answered(prepared, output)
        return output

    def rows(self, prepared: Any) -> int:
        """As the model does."""
        return self._model.rows(prepared)

    def cache_key(self, prepared: Any) -> bytes | None:
        """As the model does."""
        return self._model.cache_key(prepared)

    def confidences(self, output: Any) -> list[float]:
        """As the model does."""
        return self._model.confidences(output)

    def warm(self) -> None:
        """As the model does."""
        self._model.warm()

    def close(self) -> None:
        """As the model does."""
        self._model.close()
