"""Parquet as MLflow's scoring server takes it: bounded before anything of it is unpacked."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from services.core.errors import PayloadTooLargeError
from services.core.signature import Signature
from services.core.signature.problems import refuse
from services.gateway.errors import MalformedRequestError
from services.gateway.tables.fit import fit_columns, named_fields
from services.gateway.tables.given import Given
from services.gateway.tables.parquet_pages import Raw, pages

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

# A value in memory is at least this many bytes.
_VALUE = 8
# Columns of row groups, and pages of these, that a table within the limits has no use for.
_PARTS = 20_000
# Of a large table that are in memory at a time, about.
_CELLS = 200_000
# Texts in lists are unpacked before they can be counted; by this much they may seem too large.
_SLACK = 64
_TEXT = "BYTE_ARRAY"
_TYPES = "numbers, texts, bytes, dates, and lists or objects of these"


def read(raw: bytes, signature: Signature | None, max_rows: int, max_bytes: int) -> Given:
    """Read a table; only the columns that the signature names, where it has names.

    Args:
        max_bytes: of the table once it is unpacked.

    Raises:
        MalformedRequestError: it is no Parquet file, or a damaged one.
        InvalidInputError: a column's type has no JSON, or two columns have one name.
        PayloadTooLargeError: it has more than `max_rows` rows or `max_bytes` bytes.
    """
    with _as_malformed():
        file, names = _opened(raw, signature, max_rows, max_bytes)
        table = file.read(names, use_threads=False).select(names)
        _bound_memory(table.columns, max_bytes)
        columns = [_values(column) for column in table.columns]
    return fit_columns(names, columns, signature, "body")


def pieces(raw: Raw, signature: Signature | None, max_rows: int, max_bytes: int) -> Iterator[Given]:
    """Read a table of which only some rows are in memory at a time; see `read`.

    Raises:
        SlipwayError: as `read`, as soon as it comes to it.
    """
    with _as_malformed():
        file, names = _opened(raw, signature, max_rows, max_bytes)
        size = max(1, _CELLS // max(1, len(names)))
        left = max_bytes
        for batch in file.iter_batches(size, columns=names, use_threads=False):
            table = _table_of(batch).select(names)
            left -= _bound_memory(table.columns, left, max_bytes)
            yield fit_columns(names, [_values(one) for one in table.columns], signature, "body")


@contextmanager
def _as_malformed() -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    # What a hostile file makes of pyarrow, and of what it says about itself, is any of these.
    except (
        pa.ArrowException, OSError, ValueError, TypeError, LookupError, MemoryError,
        OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise MalformedRequestError(
            "The body cannot be read as Parquet.", where="body", expected="one whole Parquet file"
        ) from error


def _opened(
    raw: Raw, signature: Signature | None, max_rows: int, max_bytes: int
) -> tuple["parquet.ParquetFile", list[str]]:
    """Return a file within the limits, whose texts are unpacked only once, and the columns."""
    import pyarrow as pa
    from pyarrow import parquet

    file = parquet.ParquetFile(pa.BufferReader(raw))
    _bound(raw, file.metadata, max_rows, max_bytes)
    names = _wanted(file, signature)
    schema = file.schema_arrow
    flat = [name for name in names if _is_text(schema.field(name).type)]
    return parquet.ParquetFile(pa.BufferReader(raw), read_dictionary=flat), names


def _table_of(batch: "pa.RecordBatch") -> "pa.Table":
    import pyarrow as pa

    return pa.Table.from_batches([batch])


def _bound(raw: Raw, about: "parquet.FileMetaData", max_rows: int, max_bytes: int) -> None:
    """Refuse what would be too large, by the footer and by the pages themselves."""
    if about.num_rows > max_rows:
        raise PayloadTooLargeError(
            f"The body has {about.num_rows} rows.",
            where="body",
            expected=f"at most {max_rows} rows",
        )
    if about.num_row_groups * about.num_columns > _PARTS:
        raise _too_large(max_bytes)
    total = seen = 0
    for group in range(about.num_row_groups):
        rows = about.row_group(group)
        for index in range(rows.num_columns):
            part, declared = rows.column(index), about.schema.column(index)
            width = max(_VALUE, declared.length)
            text = declared.physical_type == _TEXT
            values = largest = 0
            shared = text and declared.max_repetition_level > 0
            for page in pages(raw, *_place(part)):
                seen += 1
                values += page.values
                largest = max(largest, page.unpacked)
                shared |= text and page.prefixed
                total += max(page.unpacked, width * page.values)
                if total > max_bytes or seen > _PARTS:
                    raise _too_large(max_bytes)
            # A text that is written once may then stand for any number of them in memory.
            if shared and values * largest > _SLACK * max_bytes:
                raise _too_large(max_bytes)


def _place(part: "parquet.ColumnChunkMetaData") -> tuple[int, int]:
    """Return where the pages of a column of a row group begin and end."""
    start = part.data_page_offset
    dictionary = part.dictionary_page_offset
    if dictionary is not None and 0 < dictionary < start:
        start = dictionary
    return start, start + part.total_compressed_size


def _wanted(file: "parquet.ParquetFile", signature: Signature | None) -> list[str]:
    """Return the names of the columns to read, in the file's order."""
    schema = file.schema_arrow
    pandas = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    index = pandas.get("index_columns", []) if isinstance(pandas, dict) else []
    fields = named_fields(signature)
    names = [
        name for name in schema.names if (name not in index if fields is None else name in fields)
    ]
    if len(set(names)) != len(names):
        raise MalformedRequestError(
            "The file names a column twice.", where="body", expected="each column once"
        )
    return names


def _is_text(kind: "pa.DataType") -> bool:
    from pyarrow import types

    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(test(kind) for test in tests)


def _bound_memory(
    columns: "Sequence[pa.ChunkedArray]", left: int, max_bytes: int | None = None
) -> int:
    """Count texts as often as they stand in the table, and all else as it lies in memory.

    Args:
        left: bytes that they may have.
        max_bytes: that the whole table may have, where they are a part of it.
    """
    import pyarrow as pa
    from pyarrow import compute

    total = 0
    for column in columns:
        for chunk in column.chunks:
            if isinstance(chunk, pa.DictionaryArray) and _is_text(chunk.type.value_type):
                lengths = compute.binary_length(chunk.dictionary).take(chunk.indices)
                total += compute.sum(lengths).as_py() or 0
            else:
                total += chunk.nbytes
    if total > left:
        raise _too_large(left if max_bytes is None else max_bytes)
    return total


def _values(column: "pa.ChunkedArray") -> list[Any]:
    import pyarrow as pa

    found: list[Any] = []
    convert = _converter(column.type)
    for chunk in column.chunks:
        if isinstance(chunk, pa.DictionaryArray):
            words = [convert(word) for word in _plain(chunk.dictionary).to_pylist()]
            found += [None if i is None else words[i] for i in chunk.indices.to_pylist()]
        else:
            found += map(convert, _plain(chunk).to_pylist())
    return found


def _plain(values: "pa.Array") -> "pa.Array":
    """Return dates without the digits that Python has no room for."""
    import pyarrow as pa

    if pa.types.is_timestamp(values.type) and values.type.unit == "ns":
        return values.cast(pa.timestamp("us", values.type.tz), safe=False)
    return values


def _converter(kind: "pa.DataType") -> Callable[[Any], Any]:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_string(kind):
        return lambda value: value
    if types.is_floating(kind):
        # pandas knows no other missing number.
        return lambda value: None if value != value else value
    return _json


def _json(value: Any) -> Any:
    """Return a value as a caller would have written it in JSON."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list):
        # A map comes as pairs, the items of a list never do.
        if value and all(isinstance(item, tuple) for item in value):
            return {str(key): _json(item) for key, item in value}
        return [_json(item) for item in value]
    raise refuse(
        "body", "has a column of a type that has no JSON", "numbers, texts, dates or lists"
    )


def _too_large(max_bytes: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(
        "The unpacked table is too large.", where="body", expected=f"at most {max_bytes} bytes"
    )
