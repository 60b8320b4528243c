"""Values as clients of MLflow, KServe and TensorFlow Serving write them, fitted to a signature.

Only the form is changed here, never what is meant; whether a value fits its type is for the
engine to say. Without a signature everything goes on as it came.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from services.core.signature import Field, Signature
from services.core.signature.problems import member, refuse
from services.gateway.tables.given import Given


def fit_values(value: Any, signature: Signature | None, where: str, *, drop: bool) -> Given:
    """Fit rows, records, columns or tensors.

    Args:
        where: what the caller calls the value.
        drop: leave out names that the signature does not have, as MLflow does.

    Raises:
        InvalidInputError: records of tensors have different fields.
    """
    fields = named_fields(signature)
    if fields is None:
        return Given(value, where=where)
    if type(value) is dict:
        return _object(_known(value, fields) if drop else value, fields, where)
    only = next(iter(fields.values())) if len(fields) == 1 else None
    if only is not None and type(value) is not list:
        return Given({only.name: [value]}, f"{member('inputs', only.name or '')}[0]", where)
    if type(value) is not list:
        return Given(value, where=where)
    kinds = set(map(type, value))
    if kinds == {dict}:
        records = [_known(record, fields) for record in value] if drop else value
        if any(field.is_tensor for field in fields.values()):
            return Given(_gathered(records, where), where=where)
        return Given(records, where=where)
    # MLflow and TensorFlow Serving let the name of the only input go without saying.
    nested = only is not None and (only.is_tensor or only.type == "array")
    if only is not None and dict not in kinds and (nested or list not in kinds):
        return Given({only.name: value}, member("inputs", only.name or ""), where)
    return Given(value, where=where)


def fit_columns(
    names: Sequence[str], columns: Sequence[list[Any]], signature: Signature | None, where: str
) -> Given:
    """Fit a table; columns that the signature does not name are left out, as MLflow does."""
    table = dict(zip(names, columns, strict=True))
    if signature is None or not signature.inputs:
        return Given(table, where=where)
    fields = named_fields(signature)
    if fields is not None:
        kept = {
            name: _shaped(table[name], field) for name, field in fields.items() if name in table
        }
        return Given(kept, where=where)
    first = signature.inputs[0]
    if first.is_tensor and len(columns) == 1:
        return Given(_shaped(columns[0], first), where=where)
    return Given([list(row) for row in zip(*columns, strict=True)], where=where)


def named_fields(signature: Signature | None) -> dict[str, Field] | None:
    """Return the inputs by name; None where they have no names, or there is no signature."""
    if signature is None or not signature.inputs:
        return None
    fields = {field.name: field for field in signature.inputs if field.name is not None}
    return fields if len(fields) == len(signature.inputs) else None


def mended(inputs: Any, signature: Signature | None) -> Any:
    """Undo how MLflow's client writes what JSON has no word for.

    A missing date comes as `NaT`, bytes as base64 with line breaks.
    """
    fields = {} if signature is None else {field.name: field.type for field in signature.inputs}
    odd = {name: kind for name, kind in fields.items() if kind in ("datetime", "binary")}
    if not odd:
        return inputs
    if type(inputs) is dict:
        return {
            name: [_mend(item, odd[name]) for item in column]
            if name in odd and type(column) is list
            else column
            for name, column in inputs.items()
        }
    if type(inputs) is not list:
        return inputs
    kinds = list(fields.values())
    return [_mended_row(row, odd, kinds) for row in inputs]


def _mended_row(row: Any, odd: Mapping[str | None, str], kinds: Sequence[str]) -> Any:
    if type(row) is dict:
        return {name: _mend(item, odd.get(name, "")) for name, item in row.items()}
    if type(row) is list and len(row) <= len(kinds):
        return [_mend(item, kind) for item, kind in zip(row, kinds, strict=False)]
    return row


def _mend(value: Any, kind: str) -> Any:
    if type(value) is not str:
        return value
    if kind == "datetime":
        return None if value == "NaT" else value
    return "".join(value.split()) if kind == "binary" else value


def _known(record: dict[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    if record.keys() <= fields.keys():
        return record
    return {name: value for name, value in record.items() if name in fields}


def _object(value: dict[str, Any], fields: Mapping[str, Field], where: str) -> Given:
    """Take an object for columns, or for a single record where no column holds a list."""
    tensors = any(field.is_tensor for field in fields.values())
    if tensors or not value or any(type(item) is list for item in value.values()):
        return Given(value, where=where)
    return Given([value], "inputs[0]", where)


def _gathered(records: list[dict[str, Any]], where: str) -> dict[str, list[Any]]:
    """Turn an object for each row into a tensor for each name."""
    names = records[0].keys()
    for index, record in enumerate(records):
        if record.keys() != names:
            raise refuse(
                f"{where}[{index}]", "has other fields than the first", "the same in all of them"
            )
    return {name: [record[name] for record in records] for name in names}


def _shaped(column: list[Any], field: Field) -> list[Any]:
    """Give each cell of a column the shape of a tensor's row: tables only hold flat lists."""
    shape = (field.shape or ())[1:]
    if not field.is_tensor or not shape or -1 in shape:
        return column
    size = math.prod(shape)
    if shape == (1,):
        return [item if type(item) is list else [item] for item in column]
    if len(shape) == 1 or not all(_flat(item, size) for item in column):
        return column
    return [_nested(item, shape) for item in column]


def _flat(item: Any, size: int) -> bool:
    return type(item) is list and len(item) == size and list not in map(type, item)


def _nested(values: list[Any], shape: tuple[int, ...]) -> list[Any]:
    for size in reversed(shape[1:]):
        values = [values[start : start + size] for start in range(0, len(values), size)]
    return values
