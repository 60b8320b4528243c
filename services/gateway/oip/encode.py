"""The body of an answer: a JSON head, and raw bytes of the outputs that are wanted so."""

import struct
from typing import Any

import numpy as np
import orjson

from services.core.errors import PredictionFailedError
from services.gateway.oip.datatypes import BYTES, DTYPES
from services.gateway.oip.decode import Asked
from services.gateway.oip.outputs import Answer, chosen, tensors
from services.gateway.rows import Rows


def answer(rows: Rows, asked: Asked) -> tuple[bytes, int | None]:
    """Return the body, and the length of the JSON in it where raw bytes follow.

    In JSON what is no finite number is null: NaN there breaks readers, and every client's NumPy
    makes NaN of null.

    Raises:
        InvalidInputError: the caller names an output that there is not.
        PredictionFailedError: the model's answer is no JSON.
    """
    found = chosen(tensors(rows), asked.outputs)
    binary = [asked.binary] * len(found)
    if asked.outputs is not None:
        binary = [asked.binary if o.binary is None else o.binary for o in asked.outputs]
    raws: list[bytes] = []
    heads = []
    for one, is_raw in zip(found, binary, strict=True):
        head: dict[str, Any] = {"name": one.name, "datatype": one.datatype, "shape": one.shape}
        parameters: dict[str, Any] = {}
        if one.labels:
            # A parameter is a single value in this protocol, so the list is a text.
            parameters["labels"] = orjson.dumps(one.labels).decode()
        if is_raw:
            raws.append(raw(one))
            parameters["binary_data_size"] = len(raws[-1])
        else:
            head["data"] = one.values
        if parameters:
            head["parameters"] = parameters
        heads.append(head)
    body = {
        "model_name": rows.model,
        "model_version": rows.version,
        "id": asked.id or rows.id,
        "outputs": heads,
    }
    try:
        text = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise PredictionFailedError("The model's answer is not JSON.") from error
    return (b"".join([text, *raws]), len(text)) if raws else (text, None)


def raw(tensor: Answer) -> bytes:
    """Return a tensor's bytes: little-endian numbers, or each element's length and its bytes."""
    if tensor.datatype == BYTES:
        parts: list[bytes] = []
        for value in tensor.values:
            element = value if isinstance(value, bytes) else value.encode()
            parts += (struct.pack("<I", len(element)), element)
        return b"".join(parts)
    # NumPy makes NaN of None where there are floating-point numbers.
    return np.array(tensor.values, DTYPES[tensor.datatype]).tobytes()
