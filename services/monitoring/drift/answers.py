"""From an output to what was answered for each row, by the names that outputs usually have."""

from collections.abc import Mapping, Sequence
from typing import Any

Label = str | float | None

_ONE = ("prediction", "class", "label")
_MANY = ("predictions", "labels")


def labels_of(output: Any) -> list[Label]:
    """Return the answered class or number of each row; empty where the output does not say.

    Whole numbers count as classes; of found objects (`instances`) their number counts.
    """
    if isinstance(output, Mapping):
        for name in _ONE:
            if name in output:
                return [_label(output[name])]
        for name in _MANY:
            if isinstance(output.get(name), list):
                return [_label(item) for item in output[name]]
        found = output.get("instances")
        return [float(len(found))] if isinstance(found, list) else []
    if isinstance(output, list):
        return [
            next(iter(labels_of(item)), None) if isinstance(item, Mapping) else _label(item)
            for item in output
        ]
    return []


def confidences_of(output: Any) -> list[float | None]:
    """Return the confidence of each row's answer; empty where the output does not say."""
    if not isinstance(output, Mapping):
        return []
    if "confidence" in output:
        return [_share(output["confidence"])]
    if "probability" in output:
        return [_highest(output["probability"])]
    several = output.get("confidences", output.get("probabilities"))
    if isinstance(several, Mapping):
        return [_highest(several)]
    return [_highest(item) for item in several] if isinstance(several, list) else []


def _label(value: Any) -> Label:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str | float) else None


def _highest(value: Any) -> float | None:
    items: Sequence[Any] = [value]
    if isinstance(value, Mapping):
        items = list(value.values())
    elif isinstance(value, list):
        items = value
    shares = [share for share in map(_share, items) if share is not None]
    return max(shares, default=None)


def _share(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= 1 else None
