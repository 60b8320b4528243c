"""Compare an answer with the one that a document shows."""

from typing import Any


class ByName(dict[str, Any]):
    """An object whose keys are names of models: the document's own, and here ours."""

    def __init__(self, value: Any) -> None:
        super().__init__(name=value)
        self.value = value


def like(documented: Any, actual: Any, place: str = "answer") -> None:
    """Check that everything documented is there, with the same type of JSON value."""
    if isinstance(documented, ByName):
        assert isinstance(actual, dict), f"{place} is {actual!r}"
        assert actual, f"{place} is empty"
        for name, value in actual.items():
            like(documented.value, value, f"{place}.{name}")
    elif isinstance(documented, dict):
        assert isinstance(actual, dict), f"{place} is {actual!r}"
        for name, value in documented.items():
            assert name in actual, f"{place} has no {name}"
            like(value, actual[name], f"{place}.{name}")
    elif isinstance(documented, list):
        assert isinstance(actual, list), f"{place} is {actual!r}"
        assert bool(actual) == bool(documented), f"{place} is {actual!r}"
        for index, value in enumerate(actual):
            like(documented[0], value, f"{place}[{index}]")
    else:
        assert _kind(actual) == _kind(documented), f"{place} is {actual!r}, not as {documented!r}"


def _kind(value: Any) -> str:
    """Name JSON's type of a value: 1 and 1.0 are both numbers there, true is none."""
    if isinstance(value, bool) or value is None:
        return str(type(value))
    return "number" if isinstance(value, int | float) else str(type(value))
