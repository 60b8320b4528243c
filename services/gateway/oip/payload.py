"""From the tensors of a request to the payload that the engine takes."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from services.core.errors import SlipwayError
from services.core.received import describe
from services.core.signature import Field, Signature
from services.core.signature.problems import member, refuse
from services.core.signature.scalars import kind_of_dtype, objects
from services.gateway.oip.datatypes import BYTES
from services.gateway.oip.decode import Asked
from services.gateway.oip.tensors import Tensor

# What other servers' clients say about a request; nothing here depends on it.
_NOT_OURS = frozenset(
    {"sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "headers",
     "binary_data_output", "content_type"}
)  # fmt: skip
_RESERVED = "triton_"
_STRUCTURES = frozenset({"array", "object", "map"})
_MICRO = 1e-6


def payload(
    asked: Asked, signature: Signature | None, *, arrays: bool, pictures: bool
) -> dict[str, Any]:
    """Return `{"inputs": …}`, and `params` where the request has any that are for the model.

    Args:
        signature: of the model; None: it has none.
        arrays: the model takes NumPy arrays; it is given lists otherwise.
        pictures: the model takes pictures, encoded files.

    Raises:
        InvalidInputError: the tensors cannot be what the model takes.
    """
    inputs = (
        _pictures(asked.inputs) if pictures else _inputs(asked.inputs, signature, arrays=arrays)
    )
    declared = {param.name for param in signature.params} if signature is not None else set()
    params = {
        name: value
        for name, value in asked.parameters.items()
        if name in declared or (name not in _NOT_OURS and not name.startswith(_RESERVED))
    }
    return {"inputs": inputs, "params": params} if params else {"inputs": inputs}


def timeout(asked: Asked, signature: Signature | None) -> float | None:
    """Return the seconds that the caller gives the request, if it says (in microseconds).

    Raises:
        InvalidInputError: it is no number.
    """
    if signature is not None and any(param.name == "timeout" for param in signature.params):
        return None
    value = asked.parameters.get("timeout")
    if value is None or value == 0:
        return None
    if type(value) not in (int, float) or not value > 0:
        raise refuse("parameters.timeout", "is no time", "microseconds", describe(value))
    return float(min(value, 1e15)) * _MICRO


def relocated(error: SlipwayError, asked: Asked, given: Mapping[str, Any]) -> SlipwayError:
    """Say an error's places as the caller knows them: `inputs[2]` is the third tensor to it.

    Below the doors `inputs.age[3]` is row 3 of the column age, and `inputs[3]` row 3 of the only
    tensor. `given` is the payload that was made of the request.
    """
    tensors = asked.inputs
    names = given["inputs"] if isinstance(given["inputs"], dict) else ()
    for index, name in enumerate(names):
        path = re.escape(member("inputs", name))
        _replace(error, rf"(?<![\w.]){path}(?![\w-])", f"\0[{index}].data")
    if len(tensors) == 1:
        _replace(error, r"(?<![\w.])inputs\b(?!\.)", "\0[0].data")
    _replace(error, r"(?<![\w.])params\b", "parameters")
    _replace(error, "\0", "inputs")
    _replace(error, r"\.data(?= is unknown)", ".name")
    concerned = [t for t in tensors if error.received == describe(t.array)]
    if error.received is None and len(tensors) == 1 and (error.where or "").startswith("inputs"):
        concerned = tensors
    if concerned:
        error.received = concerned[0].form
    return error


def _replace(error: SlipwayError, pattern: str, by: str) -> None:
    error.message = re.sub(pattern, lambda _: by, error.message)
    if error.where is not None:
        error.where = re.sub(pattern, lambda _: by, error.where)


def _inputs(tensors: list[Tensor], signature: Signature | None, *, arrays: bool) -> Any:
    fields = () if signature is None else signature.inputs
    named = {field.name: field for field in fields if field.name is not None}
    only = fields[0] if len(fields) == 1 else None
    if len(tensors) == 1 and not _is_part(tensors[0], named.get(tensors[0].name)):
        # A name of the caller's own, such as `input-0`: there is nothing else it could be.
        value = _value(tensors[0], only, 0, arrays=arrays)
        return {only.name: value} if only is not None and only.is_tensor and only.name else value
    return {
        tensor.name: _value(tensor, named.get(tensor.name), index, arrays=arrays)
        for index, tensor in enumerate(tensors)
    }


def _is_part(tensor: Tensor, field: Field | None) -> bool:
    """Whether a tensor is what it is called, and not a whole table under a column's name."""
    if field is None or field.is_tensor or field.type == "array":
        return field is not None
    shape = tensor.array.shape
    return not (len(shape) == 2 and shape[1] > 1)


def _value(tensor: Tensor, field: Field | None, index: int, *, arrays: bool) -> Any:
    array = tensor.array
    if tensor.datatype == BYTES:
        array = _texts(array, field, f"inputs[{index}].data")
    if arrays:
        return array
    column = array.ndim == 2 and array.shape[1] == 1 and field is not None and not field.is_tensor
    return (array.reshape(-1) if column else array).tolist()


def _texts(array: NDArray[Any], field: Field | None, where: str) -> NDArray[Any]:
    """Return BYTES as the model's column wants them: texts, bytes, or what a JSON text says."""
    binary = field is not None and (
        field.type == "binary" or (field.is_tensor and kind_of_dtype(field.dtype or "O") == "S")
    )
    flat = array.reshape(-1).tolist()
    if not binary:
        flat = [_text(value, where, at) for at, value in enumerate(flat)]
    if field is not None and field.type in _STRUCTURES:
        flat = [_structure(value, f"{where}[{at}]") for at, value in enumerate(flat)]
    return objects(flat).reshape(array.shape)


def _text(value: str | bytes, where: str, at: int) -> str:
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        expected = "text in UTF-8"
        raise refuse(f"{where}[{at}]", "is no text", expected, describe(value)) from None


def _structure(value: str, where: str) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        expected = "a list or an object as JSON"
        raise refuse(where, "is no JSON", expected, describe(value)) from None


def _pictures(tensors: list[Tensor]) -> list[Any]:
    expected = "one tensor BYTES [pictures] of encoded files (JPEG, PNG or WEBP)"
    if len(tensors) != 1:
        raise refuse("inputs", f"has {len(tensors)} tensors", expected)
    (tensor,) = tensors
    shape = tensor.array.shape
    if tensor.datatype != BYTES or len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1):
        raise refuse("inputs[0]", "is no list of pictures", expected, tensor.form)
    return list(np.ravel(tensor.array))
