"""The committed boards as Grafana reads them: their panels, and every question they ask."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRAFANA = Path(__file__).parents[3] / "monitoring" / "grafana"
FOLDER = GRAFANA / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))
# What Grafana puts in: `All` for each variable; a rate's window as it is under a scrape a second.
_VALUES = {"__rate_interval": "30s", "model": ".*", "version": ".*", "instance": ".*"}
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_LISTED = re.compile(r"label_values\((.+), (\w+)\)")


@dataclass(frozen=True)
class Asked:
    """A question of a board: by a panel (`what` is its letter), a variable or an annotation."""

    board: str
    place: str
    what: str
    expression: str

    @property
    def name(self) -> tuple[str, str, str]:
        """What it goes by in the list of those that may be empty."""
        return self.board, self.place, self.what

    def __str__(self) -> str:
        return " / ".join(self.name)


def boards() -> list[dict[str, Any]]:
    return [json.loads(file.read_text(encoding="utf-8")) for file in FILES]


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels that show something; rows are lines with a title only."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def filled(expression: str) -> str:
    """Return an expression with its variables' values.

    Raises:
        KeyError: it names a variable that no board has.
    """
    return _VARIABLE.sub(lambda found: _VALUES[found[1] or found[2]], expression)


def asked(board: dict[str, Any]) -> Iterator[Asked]:
    """Yield every question of a board, its variables put in."""
    uid = board["uid"]
    for panel in panels(board):
        for target in panel["targets"]:
            yield Asked(uid, panel["title"], target["refId"], filled(target["expr"]))
    for annotation in board["annotations"]["list"]:
        yield Asked(uid, "annotations", annotation["name"], filled(annotation["expr"]))
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found = _LISTED.fullmatch(variable["query"])
            assert found is not None, variable["query"]
            expression = f"group by ({found[2]}) ({filled(found[1])})"
            yield Asked(uid, "variables", variable["name"], expression)


EVERY = [one for board in boards() for one in asked(board)]
