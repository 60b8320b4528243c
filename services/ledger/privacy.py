"""What of an input may be written down, by model: all, its digest, nothing, or not all fields."""

from collections.abc import Mapping
from typing import Any

from services.core.settings import Settings

FULL, DIGEST, NONE = "full", "digest", "none"
REDACTED = "[redacted]"
_ANY = "*"
_DEPTH = 64


class Privacy:
    """The rules of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._rule = settings.ledger_inputs
        self._rules = dict(settings.ledger_inputs_by_model)
        self._fields: dict[str, frozenset[str]] = {}
        for entry in settings.ledger_redact:
            model, _, field = entry.rpartition(".")
            self._fields[model] = self._fields.get(model, frozenset()) | {field}
        self._annotated = frozenset(settings.ledger_annotated)

    @property
    def without_rules(self) -> bool:
        """Whether everything of every model is written down, and no drawn picture kept."""
        return self._rule == FULL and not (self._rules or self._fields or self._annotated)

    def rule(self, model: str) -> str:
        """Return `full`, `digest` or `none`."""
        return self._rules.get(model, self._rule) if self._rules else self._rule

    def annotated(self, model: str) -> bool:
        """Whether the pictures drawn by a model are kept."""
        return bool(self._annotated) and (_ANY in self._annotated or model in self._annotated)

    def hidden(self, model: str) -> frozenset[str]:
        """Return the names of fields whose values are not written down."""
        if not self._fields:
            return frozenset()
        return self._fields.get(model, frozenset()) | self._fields.get(_ANY, frozenset())


def redacted(value: Any, hidden: frozenset[str], depth: int = 0) -> Any:
    """Return JSON values with the values of hidden fields replaced, wherever they stand.

    Columns of `dataframe_split` and the like (`columns` beside `data`) are recognised too.
    """
    if depth > _DEPTH:
        return REDACTED
    if isinstance(value, Mapping):
        found = {
            name: REDACTED if name in hidden else redacted(item, hidden, depth + 1)
            for name, item in value.items()
        }
        return _columns(found, hidden)
    if isinstance(value, list | tuple):
        return [redacted(item, hidden, depth + 1) for item in value]
    return value


def _columns(table: dict[Any, Any], hidden: frozenset[str]) -> dict[Any, Any]:
    columns, rows = table.get("columns"), table.get("data")
    if not (isinstance(columns, list) and isinstance(rows, list)):
        return table
    places = {index for index, name in enumerate(columns) if name in hidden}
    if not places:
        return table
    data = [
        [REDACTED if index in places else item for index, item in enumerate(row)]
        if isinstance(row, list)
        else row
        for row in rows
    ]
    return {**table, "data": data}
