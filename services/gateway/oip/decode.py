"""The body of an inference request: a JSON head, and raw bytes of tensors behind it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.core.errors import InvalidInputError
from services.core.received import counted, describe
from services.core.signature.problems import refuse
from services.gateway.errors import MalformedRequestError
from services.gateway.json_body import parse
from services.gateway.oip.datatypes import DTYPES, NAMES
from services.gateway.oip.tensors import Tensor, from_json, from_raw

HEAD_LENGTH = "Inference-Header-Content-Length"
_MAX_RANK = 32
# Of one dimension, and of all of them together where one is 0: NumPy's own limits are near.
_MAX_SIZE = 2**31 - 1
_SHARED_MEMORY = "shared_memory_region"


@dataclass(frozen=True, slots=True)
class Output:
    """An output that the caller names; `binary` is None where it does not say."""

    name: str
    binary: bool | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A decoded request.

    Attributes:
        inputs: in the caller's order; at least one.
        outputs: those the caller wants, None: all.
        binary: whether outputs that do not say otherwise are to be raw bytes.
    """

    inputs: list[Tensor]
    id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    outputs: list[Output] | None = None
    binary: bool = False


def read(body: bytes, head_length: str | None) -> Asked:
    """Decode a request.

    Args:
        body: without any content coding.
        head_length: value of the header `HEAD_LENGTH`; None: the body is JSON alone.

    Raises:
        MalformedRequestError: the JSON or the framing of the raw bytes is broken.
        InvalidInputError: a field is missing or does not fit the others.
    """
    head, rest = _split(body, head_length)
    asked = _head(head)
    if not isinstance(asked, dict):
        raise refuse("body", f"is {describe(asked)}", "an object with inputs", describe(asked))
    parameters = _parameters(asked, "parameters")
    return Asked(
        inputs=_inputs(asked.get("inputs"), rest),
        id=_id(asked.get("id")),
        parameters=parameters,
        outputs=_outputs(asked.get("outputs")),
        binary=_flag(parameters, "binary_data_output", "parameters") or False,
    )


def _split(body: bytes, head_length: str | None) -> tuple[bytes, bytes | None]:
    if head_length is None:
        return body, None
    if not (head_length.isascii() and head_length.isdecimal() and len(head_length) < 20):
        raise _framing("is no whole number")
    length = int(head_length)
    if not 0 < length <= len(body):
        raise _framing("is not within the body")
    return body[:length], body[length:]


def _framing(what: str) -> MalformedRequestError:
    return MalformedRequestError(
        f"{HEAD_LENGTH} {what}.",
        where=HEAD_LENGTH,
        expected="the length of the JSON at the body's beginning, in bytes",
    )


def _head(raw: bytes) -> Any:
    try:
        quick = orjson.loads(raw)
        # Each key has its colon: where all are accounted for, `parse` would find nothing.
        if type(quick) is dict and _keys(quick) == raw.count(b":"):
            return quick
    except orjson.JSONDecodeError:
        pass
    try:
        return parse(raw)
    except MalformedRequestError:
        # Triton's client writes NumPy's NaN and infinities as such, which is no JSON.
        if b"NaN" not in raw and b"Infinity" not in raw:
            raise
        try:
            found = json.loads(raw, object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            found = None
        if found is None:
            raise
        return found


def _keys(asked: dict[str, Any]) -> int:
    """Count the keys of a plain request; -1 if anything is nested where it need not be."""
    count = len(asked)
    named = [asked]
    for name in ("inputs", "outputs"):
        items = asked.get(name, ())
        if type(items) is list:
            named += [item for item in items if type(item) is dict]
    for item in named:
        if item is not asked:
            count += len(item)
        parameters = item.get("parameters")
        if type(parameters) is dict:
            count += len(parameters)
            if any(type(value) in (list, dict) for value in parameters.values()):
                return -1
    return count


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _inputs(given: Any, rest: bytes | None) -> list[Tensor]:
    if type(given) is not list or not given:
        what = "is missing" if given is None else "is no list of tensors"
        expected = "a list of one or more tensors"
        raise refuse("inputs", what, expected, "nothing" if given is None else describe(given))
    tensors: list[Tensor] = []
    at = 0
    for index, item in enumerate(given):
        tensor, at = _input(item, f"inputs[{index}]", rest, at)
        if any(tensor.name == other.name for other in tensors):
            raise refuse(f"inputs[{index}].name", "is that of another input", "a name of its own")
        tensors.append(tensor)
    if rest is not None and at != len(rest):
        raise MalformedRequestError(
            "There are bytes behind the last tensor.",
            where="body",
            expected=f"{counted(at, 'byte')} behind the JSON, as binary_data_size says",
            received=counted(len(rest), "byte"),
        )
    return tensors


def _input(item: Any, where: str, rest: bytes | None, at: int) -> tuple[Tensor, int]:
    """Return a tensor, and where the next one's bytes begin."""
    if type(item) is not dict:
        raise refuse(where, f"is {describe(item)}", "an object", describe(item))
    name = item.get("name")
    if type(name) is not str or not name:
        raise _missing(f"{where}.name", name, "the tensor's name")
    datatype = item.get("datatype")
    if type(datatype) is not str or datatype not in DTYPES:
        raise _missing(f"{where}.datatype", datatype, f"one of {NAMES}", "is not known")
    shape, count = _shape(item.get("shape"), f"{where}.shape")
    parameters = _parameters(item, f"{where}.parameters")
    if _SHARED_MEMORY in parameters:
        raise _not_here(f"{where}.parameters.{_SHARED_MEMORY}", "Shared memory")
    size = parameters.get("binary_data_size")
    if size is None:
        if "data" not in item:
            raise _missing(f"{where}.data", None, "values, or parameters.binary_data_size")
        return Tensor(name, datatype, from_json(
            item["data"], datatype, shape, count, f"{where}.data"
        )), at  # fmt: skip
    place = f"{where}.parameters.binary_data_size"
    if "data" in item:
        raise MalformedRequestError(
            "The tensor has both data and a size of raw bytes.",
            where=place,
            expected="either data or parameters.binary_data_size",
        )
    raw = _raw(size, rest, at, place)
    return Tensor(name, datatype, from_raw(raw, datatype, shape, count, place)), at + len(raw)


def _raw(size: Any, rest: bytes | None, at: int, where: str) -> bytes:
    if type(size) is not int or size < 0:
        raise MalformedRequestError(
            "The number of raw bytes is none.",
            where=where,
            expected="a whole number from 0",
            received=describe(size),
        )
    if rest is None:
        raise MalformedRequestError(
            f"A tensor is raw bytes, but there is no header {HEAD_LENGTH}.",
            where=HEAD_LENGTH,
            expected="the length of the JSON at the body's beginning, in bytes",
            received="nothing",
        )
    if size > len(rest) - at:
        raise MalformedRequestError(
            "The body ends before the tensor's bytes do.",
            where=where,
            expected=counted(size, "byte"),
            received=counted(len(rest) - at, "byte"),
        )
    return rest[at : at + size]


def _shape(given: Any, where: str) -> tuple[list[int], int]:
    """Return the dimensions, and how many values they hold."""
    expected = f"a list of whole numbers from 0 to {_MAX_SIZE}, {_MAX_RANK} at most"
    if type(given) is not list or len(given) > _MAX_RANK:
        raise _missing(where, given, expected)
    for index, size in enumerate(given):
        if type(size) is not int or not 0 <= size <= _MAX_SIZE:
            raise refuse(f"{where}[{index}]", "is no dimension", expected, describe(size))
    # With a 0 among them no number of values gives the others away.
    if 0 in given and math.prod(size for size in given if size) > _MAX_SIZE:
        raise refuse(where, "is too large", f"at most {_MAX_SIZE} values", describe(given))
    return given, math.prod(given)


def _outputs(given: Any) -> list[Output] | None:
    if given is None or given == []:
        return None
    if type(given) is not list:
        raise refuse("outputs", f"is {describe(given)}", "a list of outputs", describe(given))
    found = []
    for index, item in enumerate(given):
        where = f"outputs[{index}]"
        if type(item) is not dict:
            raise refuse(where, f"is {describe(item)}", "an object", describe(item))
        name = item.get("name")
        if type(name) is not str or not name:
            raise _missing(f"{where}.name", name, "the output's name")
        parameters = _parameters(item, f"{where}.parameters")
        for key, what in ((_SHARED_MEMORY, "Shared memory"), ("classification", "Classification")):
            if key in parameters:
                raise _not_here(f"{where}.parameters.{key}", what)
        found.append(Output(name, _flag(parameters, "binary_data", f"{where}.parameters")))
    return found


def _parameters(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    found = item.get("parameters")
    if found is None:
        return {}
    if type(found) is not dict:
        raise refuse(where, f"is {describe(found)}", "an object", describe(found))
    return found


def _flag(parameters: Mapping[str, Any], name: str, where: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and type(value) is not bool:
        raise refuse(f"{where}.{name}", f"is {describe(value)}", "true or false", describe(value))
    return value


def _id(given: Any) -> str | None:
    if given is not None and type(given) is not str:
        raise refuse("id", f"is {describe(given)}", "text", describe(given))
    return given or None


def _missing(where: str, given: Any, expected: str, what: str = "is of no use") -> Exception:
    """Return the error for a field that is not there, or not what it should be."""
    if given is None:
        return refuse(where, "is missing", expected)
    return refuse(where, what, expected, describe(given))


def _not_here(where: str, what: str) -> InvalidInputError:
    return InvalidInputError(
        f"{what} is not offered here.", where=where, expected="a request without it"
    )
