"""Results of a batch as a table: one row for each item, one column for each field of the outputs.

What is a list or an object within an output stands in its cell as JSON.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

if TYPE_CHECKING:
    import pyarrow as pa

# Lines of the output, from the first one, each time that it is called.
Lines = Callable[[], Iterator[bytes]]

_FIRST = ("index", "id", "name", "status", "model_version")
_ERROR = ("code", "message", "where", "expected")
_OUTPUT = "output"
# Of outputs with more different fields than that, each is one cell.
_MOST_COLUMNS = 500
_AT_ONCE = 1000
_INT64 = range(-(2**63), 2**63)


def write_csv(lines: Lines, file: BinaryIO) -> None:
    """Write the results as CSV with a header, in UTF-8."""
    names = list(_kinds(lines))
    text = io.TextIOWrapper(file, "utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    for row in _rows(lines, names):
        writer.writerow(_cell(row.get(name)) for name in names)
    text.flush()
    text.detach()


def write_parquet(lines: Lines, file: BinaryIO) -> None:
    """Write the results as Parquet."""
    import pyarrow as pa
    from pyarrow import parquet

    kinds = _kinds(lines)
    schema = pa.schema([(name, _arrow(found)) for name, found in kinds.items()])
    with parquet.ParquetWriter(file, schema) as writer:
        for rows in _some(_rows(lines, kinds)):
            columns = {
                name: [_fitting(row.get(name), found) for row in rows]
                for name, found in kinds.items()
            }
            writer.write_table(pa.table(columns, schema))


def _kinds(lines: Lines) -> dict[str, set[type]]:
    """Return every column, in the order of its first appearance, and what is in it."""
    found: dict[str, set[type]] = {name: set() for name in _FIRST}
    for row in _rows(lines, None):
        for name, value in row.items():
            if value is not None or name not in found:
                kinds = found.setdefault(name, set())
                if value is not None:
                    kinds.add(_kind(value))
        if len(found) > _MOST_COLUMNS:
            plain: dict[str, set[type]] = {_FIRST[0]: {int}, _OUTPUT: {dict}}
            for name in (*_FIRST[1:], *(f"error.{name}" for name in _ERROR)):
                plain[name] = {str}
            return plain
    return found


def _rows(lines: Lines, names: Iterable[str] | None) -> Iterator[dict[str, Any]]:
    whole = names is not None and _OUTPUT in names
    for line in lines():
        item = orjson.loads(line)
        row = {name: item.get(name) for name in _FIRST}
        output, error = item.get(_OUTPUT), item.get("error")
        if isinstance(output, dict) and not whole:
            row |= {f"{_OUTPUT}.{name}": value for name, value in output.items()}
        elif _OUTPUT in item:
            row[_OUTPUT] = output
        if error is not None:
            row |= {f"error.{name}": error.get(name) for name in _ERROR}
        yield row


def _kind(value: Any) -> type:
    if type(value) is int and value not in _INT64:
        return float
    return type(value)


def _arrow(kinds: set[type]) -> "pa.DataType":
    import pyarrow as pa

    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {int, float} else pa.string()


def _fitting(value: Any, kinds: set[type]) -> Any:
    """Return a value as its column takes it."""
    if value is None or kinds in ({bool}, {int}):
        return value
    if kinds <= {int, float}:
        return float(value)
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _cell(value: Any) -> Any:
    """Return what stands in a cell of a CSV file; texts as they are."""
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _some(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    held = []
    for row in rows:
        held.append(row)
        if len(held) == _AT_ONCE:
            yield held
            held = []
    if held:
        yield held
