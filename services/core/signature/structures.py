"""Values of the types array, object, map and any: JSON inside a column, checked as declared."""

from collections.abc import Iterator, Mapping
from typing import Any

from services.core.received import describe
from services.core.signature.problems import Problems, UnfitError, kind_of, member, stranger
from services.core.signature.scalars import converter, to_array, whole_text
from services.core.signature.types import COLUMN_TYPES

# Lists and objects within each other, in a value of any shape.
_DEPTH = 32


def check_structure(
    value: Any, detail: Mapping[str, Any], where: str, problems: Problems, nullable: bool = False
) -> Any:
    """Return a value as its declaration wants it: texts as bytes or datetimes where it says so.

    Args:
        detail: the declaration in MLflow's form: type, and items, properties or values.
        where: path of the value, for errors.
        problems: takes what does not fit; the result means nothing then.
        nullable: null is accepted.

    Raises:
        InvalidInputError: enough problems were found.
    """
    kind = detail["type"]
    if value is None and nullable:
        return None
    if kind == "any":
        for fault in _faults(value):
            problems.add(where, *fault)
        return value
    if kind in ("array", "sparkml_vector"):
        return _array(value, detail, where, problems)
    if kind == "map":
        return _map(value, detail["values"], where, problems)
    if kind == "object":
        return _object(value, detail["properties"], where, problems)
    try:
        return converter(COLUMN_TYPES[kind])(value)
    except UnfitError as error:
        problems.add(where, error.what, error.expected, error.received)
        return None


def _array(value: Any, detail: Mapping[str, Any], where: str, problems: Problems) -> Any:
    if type(value) is not list:
        problems.add(where, f"is {kind_of(value)}", "a list", describe(value))
        return None
    items = detail.get("items", {"type": "double"})
    dtype = COLUMN_TYPES.get(items["type"], "object")
    if dtype in ("object", "datetime64[ns]"):
        return [
            check_structure(item, items, f"{where}[{index}]", problems)
            for index, item in enumerate(value)
        ]
    found = to_array(value, dtype, lambda index: f"{where}[{index}]", problems)
    return None if found is None else found.tolist()


def _map(value: Any, values: Mapping[str, Any], where: str, problems: Problems) -> Any:
    if type(value) is not dict:
        problems.add(where, f"is {kind_of(value)}", "an object", describe(value))
        return None
    found = {}
    for key, item in value.items():
        if not whole_text(key):
            problems.add(where, "has a name that is no text", "names of whole characters")
        found[key] = check_structure(item, values, stranger(where, key), problems)
    return found


def _object(value: Any, properties: Mapping[str, Any], where: str, problems: Problems) -> Any:
    if type(value) is not dict:
        problems.add(where, f"is {kind_of(value)}", "an object", describe(value))
        return None
    for key in sorted(value.keys() - properties.keys()):
        expected = "only " + ", ".join(properties)
        problems.add(stranger(where, key), "is unknown", expected)
    found = {}
    for key, declared in properties.items():
        required = declared.get("required", True)
        if key in value:
            found[key] = check_structure(
                value[key], declared, member(where, key), problems, nullable=not required
            )
        elif required:
            problems.add(member(where, key), "is missing", f"a value of type {declared['type']}")
    return found


def _faults(value: Any) -> Iterator[tuple[str, str, str | None]]:
    """Say what no model should be given, whatever it takes."""
    level = [value]
    for _ in range(_DEPTH):
        if not level:
            return
        below: list[Any] = []
        for item in level:
            if type(item) is list:
                below.extend(item)
            elif type(item) is dict:
                below.extend(item)
                below.extend(item.values())
            else:
                yield from _leaf_faults(item)
        level = below
    most = f"at most {_DEPTH} lists and objects within each other"
    yield "is nested too deeply", most, f"more than {_DEPTH}"


def _leaf_faults(value: Any) -> Iterator[tuple[str, str, str | None]]:
    if value is None:
        return
    try:
        converter("object")(value)
    except UnfitError as error:
        yield error.what, error.expected, error.received
