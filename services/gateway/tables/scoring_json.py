"""The JSON that MLflow's scoring server takes: four ways to write rows, and `params`."""

import re
from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidInputError
from services.core.signature import Signature
from services.core.signature.problems import kind_of, refuse, stranger
from services.gateway.errors import MalformedRequestError
from services.gateway.json_body import parse
from services.gateway.tables.fit import fit_columns, fit_values, mended, named_fields
from services.gateway.tables.given import Given

SPLIT, RECORDS, INSTANCES, INPUTS = "dataframe_split", "dataframe_records", "instances", "inputs"
_FORMS = (SPLIT, RECORDS, INSTANCES, INPUTS)
_EXPECTED = f"an object with exactly one of {', '.join(_FORMS)}, and params if need be"
_SPLIT = "an object with columns and data, and index if need be"
# What MLflow takes for language models.
_CHAT = frozenset({"messages", "prompt", "input"})
# A text, to be left alone, or a NaN. A text that never ends ends with the body.
_TEXT_OR_NAN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|\bNaN\b', re.DOTALL)


def parse_with_gaps(raw: bytes) -> Any:
    """Decode JSON in which a missing number may be `NaN`, as MLflow's own client writes it.

    Raises:
        MalformedRequestError: it is no JSON even so.
        InvalidInputError: there is nothing.
    """
    try:
        return parse(raw)
    except MalformedRequestError:
        if b"NaN" not in raw:
            raise
    return parse(_TEXT_OR_NAN.sub(lambda m: b"null" if m[0] == b"NaN" else m[0], raw))


def read(body: Any, signature: Signature | None) -> tuple[Given, Any]:
    """Return the rows and the parameters of a body.

    Args:
        signature: of the model; None where it has none, or takes pictures.

    Raises:
        InvalidInputError: it has none of the forms, or more than one.
    """
    if type(body) is not dict:
        raise InvalidInputError(
            f"The body is {kind_of(body)}.",
            where="body",
            expected=_EXPECTED,
            received=kind_of(body),
        )
    found = [name for name in _FORMS if name in body]
    if len(found) != 1:
        raise _not_one(body, found)
    form = found[0]
    for name in body:
        if name not in (form, "params"):
            raise refuse(stranger("body", name), "is unknown", f"only {form} and params")
    value = body[form]
    if form == SPLIT:
        given = _split(value, signature)
    elif form == RECORDS:
        given = _records(value, signature)
    else:
        given = fit_values(value, signature, form, drop=True)
    return Given(mended(given.inputs, signature), given.inside, given.where), body.get("params")


def _not_one(body: Mapping[str, Any], found: list[str]) -> InvalidInputError:
    if found:
        message = f"The body has {' and '.join(found)}."
    elif _CHAT & body.keys():
        message = "The body is one for a language model, which is not served at this address."
    else:
        message = "The body has no rows under any of the known names."
    return InvalidInputError(message, where="body", expected=_EXPECTED)


def _records(value: Any, signature: Signature | None) -> Given:
    if type(value) is not list:
        raise refuse(RECORDS, f"is {kind_of(value)}", "a list of objects")
    fields = named_fields(signature)
    tensors = signature is not None and any(field.is_tensor for field in signature.inputs)
    if set(map(type, value)) != {dict} or signature is None or (fields and not tensors):
        return fit_values(value, signature, RECORDS, drop=True)
    # By position, or as tensors: then the columns' names, or none, matter.
    names = list(dict.fromkeys(name for record in value for name in record))
    columns = [[record.get(name) for record in value] for name in names]
    return fit_columns(names, columns, signature, RECORDS)


def _split(value: Any, signature: Signature | None) -> Given:
    if type(value) is not dict:
        raise refuse(SPLIT, f"is {kind_of(value)}", _SPLIT)
    for name in value:
        if name not in ("columns", "index", "data"):
            raise refuse(stranger(SPLIT, name), "is unknown", _SPLIT)
    rows, index = value.get("data"), value.get("index")
    if type(rows) is not list:
        what = f"is {kind_of(rows)}" if "data" in value else "is missing"
        raise refuse(f"{SPLIT}.data", what, "a list of rows")
    if index is not None and (type(index) is not list or len(index) != len(rows)):
        raise refuse(f"{SPLIT}.index", "does not fit the data", "a label for each row, or nothing")
    names = None if value.get("columns") is None else _names(value["columns"])
    fields = named_fields(signature)
    by_position = signature is not None and fields is None and not signature.inputs[0].is_tensor
    if names is None or by_position or (fields is not None and _as_declared(names, fields)):
        return Given(rows, where=f"{SPLIT}.data")
    for number, row in enumerate(rows):
        if type(row) is not list or len(row) != len(names):
            what = f"has {len(row)} values" if type(row) is list else f"is {kind_of(row)}"
            raise refuse(f"{SPLIT}.data[{number}]", what, f"a list of {len(names)} values")
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]
    return fit_columns(names, columns, signature, SPLIT)


def _as_declared(names: list[str], fields: Mapping[str, Any]) -> bool:
    return names == list(fields) and not any(field.is_tensor for field in fields.values())


def _names(columns: Any) -> list[str]:
    where, expected = f"{SPLIT}.columns", "a list of names, each once"
    if type(columns) is not list or not all(type(name) in (str, int) for name in columns):
        raise refuse(where, "does not name the columns", expected)
    names = [str(name) for name in columns]
    if len(set(names)) != len(names):
        raise refuse(where, "names a column twice", expected)
    return names
