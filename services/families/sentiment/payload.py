"""From the body of a request to texts."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.core.errors import InvalidInputError, PayloadTooLargeError
from services.core.received import counted, describe
from services.core.signature.problems import stranger

FIELD = "reviews"
COLUMN = "text"
KINDS = ("tfidf", "bert")
MAX_CHARACTERS = 10_000
_TEXTS = "one or more texts"
_TEXT = f"text of 1 to {MAX_CHARACTERS} characters"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Texts, and whether they came as `reviews` rather than as `inputs`."""

    texts: tuple[str, ...]
    reviews: bool

    def key(self) -> bytes:
        """Return a hash of the texts, where one ends, and the form of the answer."""
        digest = hashlib.sha256(b"reviews" if self.reviews else b"inputs")
        for text in self.texts:
            content = text.encode()
            digest.update(b"%d:" % len(content))
            digest.update(content)
        return digest.digest()


def kind_asked(body: Mapping[str, Any]) -> str | None:
    """Return the body's `model` in lower case, None where it names none.

    Raises:
        InvalidInputError: it is not the name of a kind.
    """
    asked = body.get("model")
    if asked is None:
        return None
    kind = asked.strip().lower() if isinstance(asked, str) else None
    if kind not in KINDS:
        raise _invalid("There is no such kind of model.", "model", '"tfidf" or "bert"', asked)
    return kind


def read_texts(payload: Any, kind: str, max_rows: int) -> Prepared:
    """Check a body that a model of this kind is asked with.

    Raises:
        InvalidInputError: what is wrong, where (`reviews[3]`), and what was expected.
    """
    name, given = _content(payload, kind)
    where = name
    if name == "inputs" and isinstance(given, Mapping):
        if set(given) != {COLUMN}:
            raise _invalid("The columns are not those of this model.", where, "one, `text`", given)
        given, where = given[COLUMN], f"inputs.{COLUMN}"
    if not _is_list(given) or not len(given):
        raise _invalid("There is no list of texts.", where, _TEXTS, given)
    if len(given) > max_rows:
        raise PayloadTooLargeError(
            "There are too many texts.",
            where=where,
            expected=f"at most {max_rows}",
            received=counted(len(given), "text"),
        )
    pairs = _cells(given, where, plain=name == FIELD)
    return Prepared(tuple(_text(value, place) for value, place in pairs), name == FIELD)


def _content(payload: Any, kind: str) -> tuple[str, Any]:
    either = "`reviews` or `inputs`"
    if not isinstance(payload, Mapping):
        raise _invalid("The body is not an object.", "body", f"an object with {either}", payload)
    for name in payload:
        if name not in (FIELD, "inputs", "params", "model"):
            where = stranger("body", name)
            raise _invalid("The body has a field that is not known.", where, either, payload)
    if payload.get("params"):
        where = "params"
        raise _invalid("This model takes no parameters.", where, "nothing", payload["params"])
    asked = kind_asked(payload)
    if asked not in (None, kind):
        raise _invalid("This model is of another kind.", "model", f'"{kind}", or nothing', asked)
    found = [name for name in (FIELD, "inputs") if name in payload]
    if len(found) != 1:
        raise _invalid("The body holds not exactly one of two.", "body", either, payload)
    return found[0], payload[found[0]]


def _cells(given: Any, where: str, *, plain: bool) -> Iterator[tuple[Any, str]]:
    """Yield each value and where it is; a row of `inputs` may be a record or a list of one."""
    for number, item in enumerate(given):
        place = f"{where}[{number}]"
        if not plain and isinstance(item, Mapping):
            if set(item) != {COLUMN}:
                raise _invalid("The record is not of this model.", place, "one field, `text`", item)
            yield item[COLUMN], f"{place}.{COLUMN}"
        elif not plain and _is_list(item):
            if len(item) != 1:
                raise _invalid("The row is not of this model.", place, "one value, a text", item)
            yield item[0], f"{place}[0]"
        else:
            yield item, place


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _invalid("A value is not text.", where, _TEXT, value)
    if not value.strip():
        raise _invalid("A text is empty.", where, _TEXT, value)
    if len(value) > MAX_CHARACTERS:
        raise PayloadTooLargeError(
            "A text is too long.", where=where, expected=_TEXT, received=describe(value)
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        message = "A text holds half of a character."
        raise _invalid(message, where, "valid Unicode", value) from None
    return str(value)


def _is_list(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, list | tuple)


def _invalid(message: str, where: str, expected: str, came: Any) -> InvalidInputError:
    return InvalidInputError(message, where=where, expected=expected, received=describe(came))
