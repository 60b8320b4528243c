"""The ways to write a table (records, rows, columns, arrays), read against named types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.received import describe
from services.core.signature.arrays import cast, from_array
from services.core.signature.problems import Problems, kind_of, member, stranger
from services.core.signature.scalars import Where, numbers, objects, to_array
from services.core.signature.structures import check_structure
from services.core.signature.types import COLUMN_TYPES, Field

_NUMERIC = {"integer", "long", "float", "double"}
_NAMED_AT_MOST = 30


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one column as they came; None: no row has any. `where` says where each is."""

    values: Sequence[Any] | NDArray[Any] | None
    where: Where


class Table:
    """Columns of a signature, prepared for reading many payloads. Safe to share between threads."""

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self.fields = fields
        self.named = all(field.name is not None for field in fields)
        self.names = [field.name or "" for field in fields]
        self._known = frozenset(self.names)
        types = {field.type for field in fields}
        self.dtype = COLUMN_TYPES[fields[0].type] if len(types) == 1 and types <= _NUMERIC else None
        self._pick = itemgetter(*self.names) if self.named and len(fields) > 1 else None
        self._required = sum(1 for field in fields if field.required)
        # Rows may leave out what is optional at their end.
        self._least = max((i + 1 for i, field in enumerate(fields) if field.required), default=0)

    def matrix(self, value: list[Any] | NDArray[Any]) -> NDArray[Any] | None:
        """Read records or rows of plain numbers at once [rows, columns]; None where in doubt."""
        if self.dtype is None:
            return None
        if isinstance(value, np.ndarray):
            fits = value.ndim == 2 and value.shape[1] == len(self.fields)
            return cast(value, self.dtype) if fits else None
        kinds = set(map(type, value))
        if kinds == {list}:
            rows: Sequence[Any] = value
        elif kinds == {dict} and self._pick is not None:
            try:
                rows = list(map(self._pick, value))
            except KeyError:
                return None
        else:
            return None
        width = len(self.fields)
        if set(map(len, value)) != {width}:
            return None
        flat = rows[0] if len(rows) == 1 else list(chain.from_iterable(rows))
        found = numbers(flat, self.dtype)
        return None if found is None else found.reshape(len(rows), width)

    def columns(self, value: Any, where: str, problems: Problems) -> list[Column]:
        """Sort records, rows, columns or a matrix into columns, in the signature's order.

        Raises:
            InvalidInputError: the table's form is wrong (at the first three places).
        """
        if type(value) is dict:
            found = self._from_columns(value, where, problems)
        elif isinstance(value, np.ndarray):
            found = self._from_matrix(value, where, problems)
        elif set(map(type, value)) == {dict} and self.named:
            found = self._from_records(value, where, problems)
        elif not self.named and len(self.fields) == 1 and type(value[0]) is not list:
            found = [Column(value, lambda index: f"{where}[{index}]")]
        else:
            found = self._from_rows(value, where, problems)
        problems.settle()
        return found

    def convert(
        self, columns: list[Column], rows: int, problems: Problems
    ) -> dict[str | int, NDArray[Any]]:
        """Convert columns to their types, by label; optional whole numbers may be left out.

        Raises:
            InvalidInputError: values do not fit (at the first three places).
        """
        arrays: dict[str | int, NDArray[Any]] = {}
        for position, (field, column) in enumerate(zip(self.fields, columns, strict=True)):
            label = position if field.label is None else field.label
            if column.values is None and COLUMN_TYPES[field.type].startswith("int"):
                continue
            values = [None] * rows if column.values is None else column.values
            array = _column(values, field, column.where, problems)
            if array is not None:
                arrays[label] = array
        problems.settle()
        return arrays

    def _from_columns(self, value: dict[Any, Any], where: str, problems: Problems) -> list[Column]:
        if not self.named:
            problems.add(where, "is an object", f"a list of rows of {len(self.fields)} values")
            problems.settle()
        self._strangers(value, where, problems)
        lengths = {}
        columns = []
        for field, name in zip(self.fields, self.names, strict=True):
            path = member(where, name)
            values = value.get(name)
            if name not in value and field.required:
                problems.add(path, "is missing", f"a list of type {field.type}")
            elif isinstance(values, np.ndarray):
                values = _one_column(values, field, path, problems)
                lengths[path] = len(values)
            elif name in value and type(values) is not list:
                problems.add(path, f"is {kind_of(values)}", "a list with a value for each row")
            elif values is not None:
                lengths[path] = len(values)
            columns.append(Column(values, partial(_at, path)))
        first = next(iter(lengths.values()), 0)
        for path, length in lengths.items():
            if length != first:
                problems.add(path, f"has {length} values", f"{first}, as in the other columns")
        return columns

    def _from_records(self, value: list[Any], where: str, problems: Problems) -> list[Column]:
        for index, record in enumerate(value):
            if record.keys() != self._known:
                self._strangers(record, f"{where}[{index}]", problems)
                for field, name in zip(self.fields, self.names, strict=True):
                    if field.required and name not in record:
                        path = member(f"{where}[{index}]", name)
                        problems.add(path, "is missing", f"a value of type {field.type}")
        columns = []
        for name in self.names:
            values = [record.get(name) for record in value]
            empty = not any(name in record for record in value)
            columns.append(Column(None if empty else values, partial(_member_of, where, name)))
        return columns

    def _from_rows(self, value: list[Any], where: str, problems: Problems) -> list[Column]:
        width = len(self.fields)
        for index, row in enumerate(value):
            path = f"{where}[{index}]"
            if type(row) is not list:
                expected = f"a list of {width} values"
                if self.named:
                    expected += ", or an object in every row"
                problems.add(path, f"is {kind_of(row)}", expected, describe(row))
            elif not self._least <= len(row) <= width:
                problems.add(path, f"has {len(row)} values", f"{width} values{self._order()}")
        problems.settle()
        columns = []
        for position in range(width):
            values = [row[position] if position < len(row) else None for row in value]
            empty = all(len(row) <= position for row in value)
            columns.append(Column(None if empty else values, partial(_cell, where, position)))
        return columns

    def _from_matrix(self, value: NDArray[Any], where: str, problems: Problems) -> list[Column]:
        width = len(self.fields)
        if width == 1 and (value.ndim == 1 or self.fields[0].type == "array"):
            return [Column(value, partial(_at, where))]
        if value.ndim != 2 or not self._least <= value.shape[1] <= width:
            expected = f"an array [rows, {width}]{self._order()}"
            more = ", or an array [rows] for each of them" if self.named and width > 1 else ""
            problems.add(where, "has another shape", expected + more, describe(value))
            problems.settle()
        return [
            Column(
                value[:, position] if position < value.shape[1] else None,
                partial(_cell, where, position),
            )
            for position in range(width)
        ]

    def _strangers(self, names: Mapping[Any, Any], where: str, problems: Problems) -> None:
        for name in sorted(names.keys() - self._known, key=str):
            close = get_close_matches(str(name)[:64], self.names, n=1)
            hint = f"perhaps {close[0]}; " if close else ""
            problems.add(stranger(where, name), "is unknown", f"{hint}any of {_listed(self.names)}")

    def _order(self) -> str:
        return f": {_listed(self.names)}" if self.named else ""


def _one_column(values: NDArray[Any], field: Field, where: str, problems: Problems) -> NDArray[Any]:
    """Return an array that stands for one column as [rows]; rows of lists keep their form."""
    if values.ndim == 2 and values.shape[1] == 1 and field.type != "array":
        return values.reshape(-1)
    if values.ndim != 1 and (values.ndim == 0 or field.type != "array"):
        problems.add(where, "has another shape", "an array [rows] or [rows, 1]", describe(values))
        return values.reshape(-1)
    return values


def _column(
    values: Sequence[Any] | NDArray[Any], field: Field, where: Where, problems: Problems
) -> NDArray[Any] | None:
    dtype = COLUMN_TYPES[field.type]
    nullable = not field.required
    if dtype != "object":
        if isinstance(values, np.ndarray):
            return from_array(values, dtype, where, problems, nullable)
        return to_array(values, dtype, where, problems, nullable)
    values = values.tolist() if isinstance(values, np.ndarray) else values
    detail = field.detail or {"type": field.type}
    return objects(
        [
            check_structure(value, detail, where(index), problems, nullable)
            for index, value in enumerate(values)
        ]
    )


def stacked(arrays: Mapping[str | int, NDArray[Any]]) -> NDArray[Any]:
    """Return columns of one type as a matrix [rows, columns]."""
    return np.stack(list(arrays.values()), axis=1)


def _at(path: str, index: int) -> str:
    return f"{path}[{index}]"


def _member_of(where: str, name: str, index: int) -> str:
    return member(f"{where}[{index}]", name)


def _cell(where: str, position: int, index: int) -> str:
    return f"{where}[{index}][{position}]"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(names[:_NAMED_AT_MOST]) + more
