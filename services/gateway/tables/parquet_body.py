"""Parquet as MLflow's scoring server takes it: bounded before anything of it is unpacked."""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from services.core.errors import PayloadTooLargeError
from services.core.signature import Signature
from services.core.signature.problems import refuse
from services.gateway.errors import MalformedRequestError
from services.gateway.tables.fit import fit_columns, named_fields
from services.gateway.tables.given import Given
from services.gateway.tables.parquet_pages import pages

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

# A value in memory is at least this many bytes.
_VALUE = 8
# Columns of row groups, and pages of these, that a table within the limits has no use for.
_PARTS = 20_000
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
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pa.BufferReader(raw))
        _bound(raw, file.metadata, max_rows, max_bytes)
        names = _wanted(file, signature)
        table = _table(raw, file, names)
        _bound_memory(table, max_bytes)
        columns = [_values(column) for column in table.columns]
    # What a hostile file makes of pyarrow, and of what it says about itself, is any of these.
    except (
        pa.ArrowException, OSError, ValueError, TypeError, LookupError, MemoryError,
        OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise MalformedRequestError(
            "The body cannot be read as Parquet.", where="body", expected="one whole Parquet file"
        ) from error
    return fit_columns(names, columns, signature, "body")


def _bound(raw: bytes, about: "parquet.FileMetaData", max_rows: int, max_bytes: int) -> None:
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


def _table(raw: bytes, file: "parquet.ParquetFile", names: list[str]) -> "pa.Table":
    """Unpack columns, texts that repeat only once."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = file.schema_arrow
    flat = [name for name in names if _is_text(schema.field(name).type)]
    table = parquet.ParquetFile(pa.BufferReader(raw), read_dictionary=flat).read(
        names, use_threads=False
    )
    return table.select(names)


def _is_text(kind: "pa.DataType") -> bool:
    from pyarrow import types

    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(test(kind) for test in tests)


def _bound_memory(table: "pa.Table", max_bytes: int) -> None:
    """Count texts as often as they stand in the table, and all else as it lies in memory."""
    import pyarrow as pa
    from pyarrow import compute

    total = 0
    for column in table.columns:
        for chunk in column.chunks:
            if isinstance(chunk, pa.DictionaryArray) and _is_text(chunk.type.value_type):
                lengths = compute.binary_length(chunk.dictionary).take(chunk.indices)
                total += compute.sum(lengths).as_py() or 0
            else:
                total += chunk.nbytes
    if total > max_bytes:
        raise _too_large(max_bytes)


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
