"""A model's answer to several rows, taken apart: what of it is about which row."""

from collections.abc import Mapping
from typing import Any


def split(output: Mapping[str, Any], count: int) -> list[dict[str, Any]] | None:
    """Return the fields of each row of an answer to several; None: it cannot be taken apart.

    `predictions` becomes `prediction`, and `probabilities` get the highest as `confidence` beside
    them. `classes` are the same for every row and left out.
    """
    columns = {name: values for name, values in output.items() if name != "classes"}
    if not all(isinstance(values, list) and len(values) == count for values in columns.values()):
        return None
    if "predictions" not in columns:
        return None
    found = []
    for index in range(count):
        own = {"prediction": columns["predictions"][index]}
        for name, values in columns.items():
            if name != "predictions":
                own[name] = values[index]
        scores = own.get("probabilities")
        if isinstance(scores, list) and scores and all(type(one) is float for one in scores):
            own["confidence"] = max(scores)
        found.append(own)
    return found
