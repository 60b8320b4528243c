"""CSV as MLflow's scoring server takes it: a header, then a row a line."""

import codecs
import csv
import io
from collections.abc import Iterator

from services.core.errors import PayloadTooLargeError, UnsupportedMediaError
from services.core.signature import Signature
from services.core.signature.problems import refuse
from services.gateway.errors import MalformedRequestError
from services.gateway.tables.cells import guessed, typed
from services.gateway.tables.fit import fit_columns, mended, named_fields
from services.gateway.tables.given import Given

# By Python's names; the byte order mark that Excel writes is left out.
_CHARSETS = {"utf-8": "utf-8-sig", "ascii": "ascii", "iso8859-1": "latin-1", "cp1252": "cp1252"}
_LONGEST_CELL = 2**31 - 1


def read(raw: bytes, charset: str, signature: Signature | None, max_rows: int) -> Given:
    """Read a table. Cells are of the signature's types, an empty one is missing.

    Args:
        charset: as the header Content-Type says it.

    Raises:
        UnsupportedMediaError: the charset is not known here.
        MalformedRequestError: it is no text in that charset, no CSV, or names a column twice.
        InvalidInputError: a line has more or fewer cells than the header.
        PayloadTooLargeError: it has more than `max_rows` rows.
    """
    lines = _lines(_decoded(raw, charset))
    header = next(lines, (0, []))[1]
    if not header:
        raise refuse("body", "has no rows", "a line with the columns' names, then one a row")
    if len(set(header)) != len(header):
        raise _malformed("The header names a column twice.")
    rows = []
    for line, row in lines:
        if len(row) != len(header):
            what = f"has {len(row)} cells"
            raise refuse(f"line {line}", what, f"{len(header)}, as in the header")
        rows.append(row)
        if len(rows) > max_rows:
            raise PayloadTooLargeError(
                f"The body has more than {max_rows} rows.",
                where="body",
                expected=f"at most {max_rows} rows",
            )
    cells = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in header]
    given = fit_columns(header, _typed(header, cells, signature), signature, "body")
    return Given(mended(given.inputs, signature), given.inside, given.where)


def _typed(
    header: list[str], cells: list[list[str]], signature: Signature | None
) -> list[list[object]]:
    fields = named_fields(signature)
    if fields is not None:
        kinds = [fields.get(name) for name in header]
    else:
        declared = () if signature is None else signature.inputs
        kinds = [declared[i] if i < len(declared) else None for i in range(len(header))]
        if len(declared) == 1 and declared[0].is_tensor and len(header) > 1:
            kinds = [None] * len(header)
    return [
        guessed(column) if field is None else typed(column, field)
        for column, field in zip(cells, kinds, strict=True)
    ]


def _decoded(raw: bytes, charset: str) -> str:
    try:
        known = _CHARSETS.get(codecs.lookup(charset or "utf-8").name)
    except (LookupError, ValueError):
        known = None
    if known is None:
        raise UnsupportedMediaError(
            "The body's charset is not known here.", where="Content-Type", expected="utf-8"
        )
    try:
        return raw.decode(known)
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is no {error.encoding} (byte {error.start}).") from None


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not empty, and their numbers."""
    # The default would refuse a picture in a cell. It holds for the process, hence no setting.
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error:
        raise _malformed(f"The body is no CSV (line {reader.line_num}).") from None


def _malformed(message: str) -> MalformedRequestError:
    return MalformedRequestError(
        message, where="body", expected="CSV in UTF-8, the columns' names in its first line"
    )
