"""What training may be told: the parameters of a family, checked."""

import math
from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidInputError
from services.families.base import Parameter, TrainableFamily


def complete(family: TrainableFamily, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every parameter of a family: those given, checked, and the defaults of the others.

    Raises:
        InvalidInputError: a parameter is unknown, of another type, or outside its limits.
    """
    known = {parameter.name: parameter for parameter in family.parameters}
    for name in given:
        if name not in known:
            raise InvalidInputError(
                f"The family {family.name} has no such parameter.",
                where=name if name.isidentifier() else None,
                expected=f"any of {', '.join(known)}" if known else "no parameter at all",
            )
    return {
        name: checked(parameter, given[name]) if name in given else parameter.default
        for name, parameter in known.items()
    }


def checked(parameter: Parameter, value: Any) -> Any:
    """Return the value in the parameter's own type.

    Raises:
        InvalidInputError: it is of another type, or outside the limits.
    """
    kind = type(parameter.default)
    if kind is float and type(value) is int:
        value = float(value)
    refused = (
        type(value) is not kind
        or (isinstance(value, float) and not math.isfinite(value))
        or (bool(parameter.choices) and value not in parameter.choices)
        or (isinstance(value, int | float) and not _within(parameter, value))
    )
    if refused:
        raise InvalidInputError(
            "This value is not accepted.", where=parameter.name, expected=_wanted(parameter)
        )
    return value


def _within(parameter: Parameter, value: float) -> bool:
    low, high = parameter.low, parameter.high
    return (low is None or value >= low) and (high is None or value <= high)


def _wanted(parameter: Parameter) -> str:
    if parameter.choices:
        return "one of " + ", ".join(str(choice) for choice in parameter.choices)
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    kind = words[type(parameter.default)]
    if parameter.low is not None and parameter.high is not None:
        return f"{kind} from {parameter.low:g} to {parameter.high:g}"
    if parameter.low is not None:
        return f"{kind} of at least {parameter.low:g}"
    if parameter.high is not None:
        return f"{kind} of at most {parameter.high:g}"
    return kind
