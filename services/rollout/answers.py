"""Whether what a model answers can be sent to a client, and fits what its signature promises."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from services.core.signature import Field, Signature

_NUMBERS = {"integer", "long", "float", "double", "int", "uint"}


def faults(output: Any, signature: Signature | None) -> Iterator[str]:
    """Say what is wrong with an answer; nothing if it is whole."""
    if not isinstance(output, Mapping):
        return  # a family's own type: what matters of it is checked by its confidences
    if not output:
        yield "the answer is empty"
    yield from _not_finite(output, "")
    predictions = output.get("predictions")
    if signature is None or not signature.outputs or not isinstance(predictions, list):
        return
    if not predictions:
        yield "no row was answered"
    for row in predictions[:1]:
        yield from _row(row, signature.outputs)


def _not_finite(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{where or 'the answer'} is not a finite number"
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _not_finite(item, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_finite(item, f"{where}[{index}]")


def _row(row: Any, outputs: tuple[Field, ...]) -> Iterator[str]:
    if isinstance(row, Mapping):
        for output in outputs:
            if output.name is not None and output.name not in row:
                yield f"the signature promises {output.name}, which the answer lacks"
            elif output.name is not None:
                yield from _value(row[output.name], output)
    elif len(outputs) == 1 and not isinstance(row, list):
        yield from _value(row, outputs[0])


def _value(value: Any, output: Field) -> Iterator[str]:
    name = output.name or "the answer"
    if value is None:
        if output.required:
            yield f"{name} has no value"
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    kind = (output.dtype or "").rstrip("0123456789") if output.is_tensor else output.type
    if kind in _NUMBERS and not number:
        yield f"{name} is no number, as its signature promises"
    if output.type == "string" and not isinstance(value, str):
        yield f"{name} is no text, as its signature promises"
    if output.type == "boolean" and not isinstance(value, bool):
        yield f"{name} is neither true nor false, as its signature promises"
