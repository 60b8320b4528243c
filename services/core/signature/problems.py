"""What is wrong with a payload: a few places, each with what is there and what was expected."""

import re
from dataclasses import dataclass, field

from services.core.errors import InvalidInputError
from services.core.received import counted

_LIMIT = 3
_PLAIN = re.compile(r"[A-Za-z_][\w-]{0,63}", re.ASCII)
_COUNTED = re.compile(r"has (\d+) (value|row)s?\b")
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}
_RECEIVED = frozenset({*_KINDS.values(), "null", "no JSON value"})


class UnfitError(Exception):
    """One value does not fit; `Problems` adds where it is."""

    def __init__(self, what: str, expected: str, received: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.received = received


@dataclass(slots=True)
class Problems:
    """Collects the first few problems and turns them into one error."""

    found: list[tuple[str, str, str, str | None]] = field(default_factory=list)

    def add(self, where: str, what: str, expected: str, received: str | None = None) -> None:
        """Remember a problem (`inputs[3].age`, `is text`, `a number`, `text of 12 characters`).

        What came is read from `what` unless it is said.

        Raises:
            InvalidInputError: these are enough to report.
        """
        self.found.append((where, what, expected, received or _received(what)))
        if len(self.found) == _LIMIT:
            self.settle()

    def settle(self) -> None:
        """Go on if nothing was found.

        Raises:
            InvalidInputError: all that was found.
        """
        if not self.found:
            return
        raise InvalidInputError(
            "; ".join(f"{where} {what}" for where, what, _, _ in self.found) + ".",
            where=self.found[0][0],
            expected="; ".join(dict.fromkeys(expected for _, _, expected, _ in self.found)),
            received="; ".join(dict.fromkeys(came for *_, came in self.found if came)) or None,
        )


def refuse(where: str, what: str, expected: str, received: str | None = None) -> InvalidInputError:
    """Return the error for a single problem, in the words of all the others."""
    return InvalidInputError(
        f"{where} {what}.", where=where, expected=expected, received=received or _received(what)
    )


def _received(what: str) -> str | None:
    """Read from the words of a problem what came, as far as they say it."""
    if what == "is missing":
        return "nothing"
    if what == "has no rows":
        return "an empty list"
    if what == "is unknown":
        return "a name that is not known"
    counts = _COUNTED.match(what)
    if counts is not None:
        return f"a list of {counted(int(counts[1]), counts[2])}"
    kind = what.removeprefix("is ").removesuffix(" where a list is expected")
    return kind if kind in _RECEIVED else None


def kind_of(value: object) -> str:
    """Name the kind of a JSON value; never the value."""
    if value is None:
        return "null"
    return _KINDS.get(type(value), "no JSON value")


def member(where: str, name: str) -> str:
    """Return the path of a named part: `inputs.age`, or `inputs["petal length"]`."""
    return f"{where}.{name}" if _PLAIN.fullmatch(name) else f'{where}["{name}"]'


def stranger(where: str, name: object) -> str:
    """Return the path of a part that the caller named: only a plain, short name is repeated."""
    return f"{where}.{name}" if isinstance(name, str) and _PLAIN.fullmatch(name) else where
