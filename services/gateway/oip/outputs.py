"""What a model answered, as tensors: regular values as they are, all else as JSON texts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import orjson

from services.core.errors import InvalidInputError, PredictionFailedError
from services.core.json_values import to_json
from services.core.logging import get_logger
from services.gateway.oip.datatypes import BYTES
from services.gateway.oip.decode import Output
from services.gateway.rows import Rows

_log = get_logger(__name__)
_INT64 = (-(2**63), 2**63 - 1)
_UINT64 = (0, 2**64 - 1)
_NULL = type(None)
_REALS = frozenset({int, float, _NULL})
_TEXTS = frozenset({str, _NULL})
_PROBABILITIES = "probabilities"


@dataclass(frozen=True, slots=True)
class Answer:
    """An output tensor.

    Attributes:
        values: in row-major order: bool, int, str, or float with None for what is no number.
        labels: what the last dimension's entries are called, where that is known.
    """

    name: str
    datatype: str
    shape: list[int]
    values: Sequence[Any]
    labels: Sequence[Any] = ()


def tensors(rows: Rows) -> list[Answer]:
    """Return every output of an answer; the first dimension of each counts the rows.

    Rows that are records with the same names are one tensor for each name; a mapping of labels to
    numbers in every row is one tensor [rows, labels].

    Raises:
        PredictionFailedError: the model's answer is no JSON.
    """
    try:
        found = []
        if rows.predictions is not None or not rows.others:
            found = _named("predictions", rows.predictions)
        for name, value in rows.others.items():
            if type(value) is not list:
                found.append(_part(name, [value]))
            else:
                found.append(_tensor(name, value, rows.labels if name == _PROBABILITIES else ()))
    except TypeError as error:
        _log.error("answer is not JSON", model=rows.model, version=rows.version)
        raise PredictionFailedError("The model's answer is not JSON.") from error
    return found


def chosen(found: list[Answer], wanted: Iterable[Output] | None) -> list[Answer]:
    """Return the outputs that the caller names, in its order; None: all.

    Raises:
        InvalidInputError: the model has no such output.
    """
    if wanted is None:
        return found
    known = {answer.name: answer for answer in found}
    picked = []
    for index, output in enumerate(wanted):
        if output.name not in known:
            raise InvalidInputError(
                "The model has no output of that name.",
                where=f"outputs[{index}].name",
                expected=f"any of {', '.join(known)}",
                received="a name that is not known",
            )
        picked.append(known[output.name])
    return picked


def _named(name: str, value: Any) -> list[Answer]:
    """Return the tensors of predictions: a list for rows, or whatever a foreign model answers."""
    if type(value) is not list:
        value = value if isinstance(value, dict) else to_json(value)
        if isinstance(value, dict) and value:
            # Outputs by name; a list of each counts as rows.
            return [_tensor(n, v if type(v) is list else [v]) for n, v in value.items()]
        value = value if type(value) is list else [value]
    if value and set(map(type, value)) == {dict} and value[0]:
        names = value[0].keys()
        if all(record.keys() == names for record in value):
            return [_part(each, [record[each] for record in value]) for each in names]
    return [_tensor(name, value)]


def _part(name: str, values: list[Any]) -> Answer:
    """Return one name's values of every record; of labelled numbers a matrix."""
    if set(map(type, values)) == {dict} and values[0]:
        labels = list(values[0])
        if all(list(one) == labels for one in values):
            found = _tensor(name, [list(one.values()) for one in values], labels)
            if found.datatype != BYTES:
                return found
    return _tensor(name, values)


def _tensor(name: str, rows: list[Any], labels: Sequence[Any] = ()) -> Answer:
    shape, level = [len(rows)], rows
    while level and type(level[0]) is list:
        sizes = set(map(len, level)) if set(map(type, level)) == {list} else set()
        if len(sizes) != 1:
            return _texts(name, rows)
        shape.append(sizes.pop())
        level = list(chain.from_iterable(level))
    kinds = set(map(type, level))
    # Lists without anything in them may hold anything in the next answer.
    datatype = _datatype(kinds, level) if level or not rows else None
    if datatype is None:
        return _texts(name, rows)
    if datatype == BYTES and _NULL in kinds:
        level = ["" if value is None else value for value in level]
    fits = labels and shape[1:] == [len(labels)]
    return Answer(name, datatype, shape, level, labels if fits else ())


def _datatype(kinds: set[type], values: list[Any]) -> str | None:
    if kinds == {float}:
        return "FP64"
    if kinds == {int}:
        low, high = min(values), max(values)
        if _INT64[0] <= low and high <= _INT64[1]:
            return "INT64"
        return "UINT64" if low >= _UINT64[0] and high <= _UINT64[1] else None
    if kinds == {bool}:
        return "BOOL"
    if kinds <= _REALS:
        return "FP64"
    return BYTES if kinds <= _TEXTS else None


def _texts(name: str, rows: list[Any]) -> Answer:
    """Return what has no regular form as one JSON text for each row."""
    texts = [orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY).decode() for row in rows]
    return Answer(name, BYTES, [len(rows)], texts)


def form_of(answer: Mapping[str, Any] | Any) -> list[Answer]:
    """Return the outputs that an answer of the engine has, without values; its rows are -1.

    Raises:
        PredictionFailedError: the answer is no JSON.
    """
    fields = dict(answer) if isinstance(answer, Mapping) else {}
    if "predictions" in fields:
        predictions, labels = fields.pop("predictions"), fields.pop("classes", ())
        rows = Rows("", "", "", predictions, fields, labels)
    else:
        rows = Rows("", "", "", [answer])
    return [replace(one, shape=[-1, *one.shape[1:]], values=()) for one in tensors(rows)]
