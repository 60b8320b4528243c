"""CSV as MLflow's scoring server takes it: a header, then a row a line."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO

from services.core.errors import PayloadTooLargeError, UnsupportedMediaError
from services.core.signature import Field, Signature
from services.core.signature.problems import refuse
from services.gateway.errors import MalformedRequestError
from services.gateway.tables.cells import TEXT, guess, guessed, taken_as, together, typed
from services.gateway.tables.fit import fit_columns, mended, named_fields
from services.gateway.tables.given import Given

# By Python's names; the byte order mark that Excel writes is left out.
_CHARSETS = {"utf-8": "utf-8-sig", "ascii": "ascii", "iso8859-1": "latin-1", "cp1252": "cp1252"}
_LONGEST_CELL = 2**31 - 1
# Of a large table that are in memory at a time, about.
_CELLS = 200_000


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
    lines = _lines(io.StringIO(_decoded(raw, charset), newline=""))
    header = _header(lines)
    rows = list(_rows(lines, header, max_rows))
    cells = _columns(rows, header)
    return _given(header, _typed(header, cells, signature), signature)


def pieces(
    file: BinaryIO, charset: str, signature: Signature | None, max_rows: int, longest: int
) -> Iterator[Given]:
    """Read a table of which only some rows are in memory at a time; see `read`.

    Args:
        longest: a line's characters.

    Raises:
        SlipwayError: as `read`, as soon as it comes to it.
    """
    looks = _looks(file, charset, signature, max_rows, longest)
    for header, cells in _slices(file, charset, max_rows, longest):
        kinds = _kinds(header, signature)
        columns = [
            taken_as(look, column) if kind is None else typed(column, kind)
            for column, kind, look in zip(cells, kinds, looks, strict=True)
        ]
        yield _given(header, columns, signature)


def _looks(
    file: BinaryIO, charset: str, signature: Signature | None, max_rows: int, longest: int
) -> list[str | None]:
    """Return what each column looks like as a whole: only needed of those without a type."""
    looks: list[str | None] = []
    for header, cells in _slices(file, charset, max_rows, longest):
        kinds = _kinds(header, signature)
        looks = looks or [None] * len(header)
        if None not in kinds:
            break
        for index, column in enumerate(cells):
            if kinds[index] is None and looks[index] != TEXT:
                looks[index] = together(looks[index], guess(column))
    return looks


def _slices(
    file: BinaryIO, charset: str, max_rows: int, longest: int
) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield the header with the columns of some rows, again and again."""
    file.seek(0)
    text = io.TextIOWrapper(file, _codec(charset), newline="")
    try:
        lines = _lines(_bounded(text, longest))
        header = _header(lines)
        rows = _rows(lines, header, max_rows)
        while some := list(islice(rows, max(1, _CELLS // len(header)))):
            yield header, _columns(some, header)
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is no {error.encoding}.") from None
    finally:
        text.detach()


def _bounded(text: io.TextIOWrapper, longest: int) -> Iterator[str]:
    while line := text.readline(longest + 1):
        if len(line) > longest:
            raise PayloadTooLargeError(
                "A line of the body is too long.",
                where="body",
                expected=f"at most {longest} characters",
            )
        yield line


def _header(lines: Iterator[tuple[int, list[str]]]) -> list[str]:
    header = next(lines, (0, []))[1]
    if not header:
        raise refuse("body", "has no rows", "a line with the columns' names, then one a row")
    if len(set(header)) != len(header):
        raise _malformed("The header names a column twice.")
    return header


def _rows(
    lines: Iterator[tuple[int, list[str]]], header: list[str], max_rows: int
) -> Iterator[list[str]]:
    for count, (line, row) in enumerate(lines, 1):
        if len(row) != len(header):
            what = f"has {len(row)} cells"
            raise refuse(f"line {line}", what, f"{len(header)}, as in the header")
        if count > max_rows:
            raise PayloadTooLargeError(
                f"The body has more than {max_rows} rows.",
                where="body",
                expected=f"at most {max_rows} rows",
            )
        yield row


def _columns(rows: list[list[str]], header: list[str]) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in header]


def _given(header: list[str], columns: list[list[Any]], signature: Signature | None) -> Given:
    given = fit_columns(header, columns, signature, "body")
    return Given(mended(given.inputs, signature), given.inside, given.where)


def _typed(
    header: list[str], cells: list[list[str]], signature: Signature | None
) -> list[list[Any]]:
    return [
        guessed(column) if field is None else typed(column, field)
        for column, field in zip(cells, _kinds(header, signature), strict=True)
    ]


def _kinds(header: list[str], signature: Signature | None) -> list[Field | None]:
    """Return the type that the signature has for each column."""
    fields = named_fields(signature)
    if fields is not None:
        return [fields.get(name) for name in header]
    declared = () if signature is None else signature.inputs
    if len(declared) == 1 and declared[0].is_tensor and len(header) > 1:
        return [None] * len(header)
    return [declared[i] if i < len(declared) else None for i in range(len(header))]


def _decoded(raw: bytes, charset: str) -> str:
    try:
        return raw.decode(_codec(charset))
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is no {error.encoding} (byte {error.start}).") from None


def _codec(charset: str) -> str:
    try:
        known = _CHARSETS.get(codecs.lookup(charset or "utf-8").name)
    except (LookupError, ValueError):
        known = None
    if known is None:
        raise UnsupportedMediaError(
            "The body's charset is not known here.", where="Content-Type", expected="utf-8"
        )
    return known


def _lines(text: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not empty, and their numbers."""
    # The default would refuse a picture in a cell. It holds for the process, hence no setting.
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(text, strict=True)
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
