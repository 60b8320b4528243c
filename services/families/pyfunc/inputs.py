"""From checked inputs to what a model of MLflow takes, in the types that MLflow would enforce."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from services.core.errors import PayloadTooLargeError
from services.core.json_values import to_json
from services.core.received import counted, describe
from services.core.signature import Signature
from services.core.signature.problems import Problems, kind_of, refuse
from services.core.signature.structures import check_structure
from services.core.signature.validate import Checked


def build(signature: Signature, parts: Sequence[Checked]) -> Any:
    """Return the rows of all parts: a table for columns, an array or a dict of them for tensors."""
    if signature.inputs[0].is_tensor:
        return _tensors(parts)
    import pandas as pd

    labels = [
        position if field.label is None else field.label
        for position, field in enumerate(signature.inputs)
    ]
    tables = [
        pd.DataFrame(dict(part.columns))
        if part.matrix is None
        else pd.DataFrame(part.matrix, columns=labels)
        for part in parts
    ]
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def joinable(signature: Signature | None) -> bool:
    """Say whether inputs of several payloads can be put one after another."""
    if signature is None or not signature.inputs:
        return False
    return all(not f.is_tensor or (f.shape or (0,))[0] == -1 for f in signature.inputs)


def guess(value: Any, max_rows: int) -> Any:
    """Make of inputs without a signature what they most look like.

    Objects and columns become a table, rows of numbers an array, everything else stays a list.

    Raises:
        InvalidInputError: it is no list or object, too long, or not whole JSON.
    """
    if type(value) is not list and type(value) is not dict:
        raise refuse(
            "inputs",
            f"is {kind_of(value)}",
            "a list of rows, or an object of columns",
            describe(value),
        )
    problems = Problems()
    check_structure(value, {"type": "any"}, "inputs", problems)
    problems.settle()
    kinds = set(map(type, value if isinstance(value, list) else value.values()))
    lists = list(value.values()) if isinstance(value, dict) else [value]
    longest = max((len(item) for item in lists if isinstance(item, list)), default=len(value))
    if not value or not longest:
        raise refuse("inputs", "has no rows", "at least one row")
    if longest > max_rows:
        raise PayloadTooLargeError(
            f"inputs has {longest} rows.",
            where="inputs",
            expected=f"at most {max_rows} rows",
            received=counted(longest, "row"),
        )
    if isinstance(value, dict):
        return _columns(value, kinds)
    if kinds == {dict}:
        import pandas as pd

        return pd.DataFrame(value)
    return _numbers(value)


def key(checked: Checked) -> bytes:
    """Return bytes that are equal only for equal inputs and parameters."""
    params = orjson.dumps(to_json(checked.params), option=orjson.OPT_SORT_KEYS)
    if checked.matrix is not None and checked.matrix.dtype.kind in "biuf":
        form = f"{checked.matrix.dtype}{checked.matrix.shape}"
        return b"%d:" % len(params) + params + form.encode() + checked.matrix.tobytes()
    arrays = {"": checked.matrix} if checked.matrix is not None else checked.columns
    content = {str(name): array.tolist() for name, array in arrays.items()}
    # Through json where a structure holds whole numbers that orjson has no room for.
    text = json.dumps(to_json(content), sort_keys=True)
    return b"%d:" % len(params) + params + text.encode()


def _tensors(parts: Sequence[Checked]) -> Any:
    if parts[0].matrix is not None:
        matrices = [part.matrix for part in parts if part.matrix is not None]
        return matrices[0] if len(matrices) == 1 else np.concatenate(matrices)
    names = parts[0].columns
    if len(parts) == 1:
        return dict(names)
    return {name: np.concatenate([part.columns[name] for part in parts]) for name in names}


def _columns(value: Mapping[str, Any], kinds: set[type]) -> Any:
    import pandas as pd

    if kinds != {list}:
        raise refuse(
            "inputs", "has columns that are no lists", "a list for each column", describe(value)
        )
    if len({len(column) for column in value.values()}) > 1:
        raise refuse("inputs", "has columns of different lengths", "one length", describe(value))
    return pd.DataFrame(value)


def _numbers(value: list[Any]) -> Any:
    try:
        array = np.array(value)
    except (ValueError, OverflowError):
        return value
    return array if array.dtype.kind in "biuf" else value


def only_params(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a body whose model declares none: any, as long as it is JSON."""
    params = body.get("params")
    if params is None:
        return {}
    if type(params) is not dict:
        raise refuse("params", f"is {kind_of(params)}", "an object", describe(params))
    problems = Problems()
    check_structure(params, {"type": "any"}, "params", problems)
    problems.settle()
    return dict(params)
