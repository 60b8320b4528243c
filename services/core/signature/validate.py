"""Checks what a caller sent against a model's signature, and turns it into arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInputError, PayloadTooLargeError
from services.core.received import counted, describe
from services.core.signature.compare import compatible
from services.core.signature.example import example_of
from services.core.signature.problems import (
    Problems,
    UnfitError,
    kind_of,
    member,
    refuse,
    stranger,
)
from services.core.signature.scalars import converter
from services.core.signature.structures import check_structure
from services.core.signature.table import Table, stacked
from services.core.signature.tensors import to_tensor
from services.core.signature.types import COLUMN_TYPES, Param, Signature

__all__ = ["Checked", "Validator", "compatible", "example_of"]


@dataclass(slots=True, eq=False)
class Checked:
    """Inputs that fit their signature: one matrix, or else columns or tensors by name.

    Attributes:
        rows: how many there are.
        matrix: columns of one numeric type [rows, columns], or the only tensor without a name.
        columns: columns [rows] by label (name, or position where they have none), or tensors by
            name; empty where there is a matrix. Text, bytes and structures are Python objects.
        params: parameters that were given, as Python values.
    """

    rows: int
    matrix: NDArray[Any] | None
    columns: Mapping[str | int, NDArray[Any]] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)


class Validator:
    """A signature, prepared for checking many payloads. Safe to share between threads."""

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self.signature = signature
        self.max_rows = max_rows
        self._params = {param.name: param for param in signature.params}
        self._tensors = signature.inputs if self._is_tensors() else ()
        self._table = None if self._tensors or not signature.inputs else Table(signature.inputs)

    def payload(self, body: Any) -> Checked:
        """Check `{"inputs": …, "params": …}`.

        Raises:
            InvalidInputError: what is wrong, where, and what was expected.
        """
        if not isinstance(body, Mapping):
            raise refuse("body", f"is {kind_of(body)}", "an object with inputs")
        for name in body:
            if name not in ("inputs", "params"):
                raise refuse(stranger("body", name), "is unknown", "only inputs and params")
        if "inputs" not in body:
            raise refuse("inputs", "is missing", "the rows to predict")
        checked = self.inputs(body["inputs"])
        params = self.params(body.get("params"))
        return Checked(checked.rows, checked.matrix, checked.columns, params) if params else checked

    def inputs(self, value: Any, where: str = "inputs") -> Checked:
        """Check records, rows, columns, nested lists, or named nested lists.

        Args:
            value: decoded JSON; or NumPy arrays in it: for a table a matrix [rows, columns] or a
                dict of columns [rows], for tensors the only one or a dict of them. Texts and
                bytes are arrays of objects.
            where: what the caller calls it, for errors.

        Raises:
            InvalidInputError: what is wrong, where, and what was expected.
        """
        if self._table is None:
            return self._check_tensors(value, where)
        if type(value) is list or (isinstance(value, np.ndarray) and value.ndim > 0):
            self._bound(len(value), where)
            matrix = self._table.matrix(value)
            if matrix is not None:
                return Checked(len(value), matrix)
        elif type(value) is not dict and not isinstance(value, np.ndarray):
            expected = "a list of rows, or an object of columns"
            raise refuse(where, f"is {kind_of(value)}", expected, describe(value))
        return self._check_columns(self._table, value, where)

    def params(self, value: Any) -> dict[str, Any]:
        """Check the parameters of inference that were given; None: none.

        Raises:
            InvalidInputError: what is wrong, where, and what was expected.
        """
        if value is None:
            return {}
        if type(value) is not dict:
            raise refuse("params", f"is {kind_of(value)}", "an object", describe(value))
        known = ", ".join(self._params)
        problems = Problems()
        found = {}
        for name, item in value.items():
            if name not in self._params:
                expected = f"any of {known}" if known else "no parameters for this model"
                problems.add(stranger("params", name), "is unknown", expected)
            else:
                found[name] = _param(item, self._params[name], problems)
        problems.settle()
        return found

    def _check_columns(self, table: Table, value: Any, where: str) -> Checked:
        problems = Problems()
        columns = table.columns(value, where, problems)
        rows = next((len(column.values) for column in columns if column.values is not None), 0)
        self._bound(rows, where)
        arrays = table.convert(columns, rows, problems)
        if table.dtype is not None and len(arrays) == len(table.fields):
            return Checked(rows, stacked(arrays))
        return Checked(rows, None, arrays)

    def _check_tensors(self, value: Any, where: str) -> Checked:
        fields, problems = self._tensors, Problems()
        if len(fields) == 1 and fields[0].name is None:
            self._bound_list(value, where)
            array = to_tensor(value, fields[0], where, problems)
            problems.settle()
            assert array is not None
            self._bound(len(array), where)
            return Checked(len(array), array)
        if type(value) is not dict:
            raise refuse(
                where, f"is {kind_of(value)}", "an object of named tensors", describe(value)
            )
        arrays = self._named_tensors(value, where, problems)
        sizes = {len(arrays[f.name or ""]) for f in fields if (f.shape or (0,))[0] == -1}
        if len(sizes) > 1:
            raise refuse(where, "has tensors of different numbers of rows", "one number of rows")
        rows = sizes.pop() if sizes else 1
        self._bound(rows, where)
        return Checked(rows, None, arrays)

    def _named_tensors(
        self, value: dict[Any, Any], where: str, problems: Problems
    ) -> dict[str | int, NDArray[Any]]:
        known = {field.name or "": field for field in self._tensors}
        for name in sorted(value.keys() - known.keys(), key=str):
            problems.add(stranger(where, name), "is unknown", "any of " + ", ".join(known))
        arrays: dict[str | int, NDArray[Any]] = {}
        for name, tensor in known.items():
            path = member(where, name)
            if name not in value:
                problems.add(path, "is missing", "nested lists")
                continue
            self._bound_list(value[name], path)
            array = to_tensor(value[name], tensor, path, problems)
            if array is not None:
                arrays[name] = array
        problems.settle()
        return arrays

    def _bound_list(self, value: Any, where: str) -> None:
        many = type(value) is list or (isinstance(value, np.ndarray) and value.ndim > 0)
        if many and len(value) > self.max_rows:
            self._bound(len(value), where)

    def _bound(self, rows: int, where: str) -> None:
        if rows == 0:
            raise InvalidInputError(
                f"{where} has no rows.",
                where=where,
                expected="at least one row",
                received="0 rows",
            )
        if rows > self.max_rows:
            raise PayloadTooLargeError(
                f"{where} has {rows} rows.",
                where=where,
                expected=f"at most {self.max_rows} rows",
                received=counted(rows, "row"),
            )

    def _is_tensors(self) -> bool:
        return bool(self.signature.inputs) and all(f.is_tensor for f in self.signature.inputs)


def _param(value: Any, param: Param, problems: Problems) -> Any:
    where = member("params", param.name)
    if param.detail is not None:
        return check_structure(value, param.detail, where, problems)
    if value is None and param.default is None:
        return None
    convert = converter(COLUMN_TYPES[param.type])
    if param.shape is None:
        return _param_value(value, convert, where, problems)
    if type(value) is not list:
        problems.add(where, f"is {kind_of(value)}", "a list")
        return None
    return [
        _param_value(item, convert, f"{where}[{index}]", problems)
        for index, item in enumerate(value)
    ]


def _param_value(value: Any, convert: Any, where: str, problems: Problems) -> Any:
    try:
        return convert(value)
    except UnfitError as error:
        problems.add(where, error.what, error.expected, error.received)
        return None
