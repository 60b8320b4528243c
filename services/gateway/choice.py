"""Which family a body of `POST /predict` is for: the families themselves say it."""

from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidInputError, NotFoundError
from services.core.received import describe
from services.core.settings import Settings
from services.engine.engine import Engine
from services.families.base import Family


class Choice:
    """Finds family and model; made once, for the families never change."""

    def __init__(self, families: Mapping[str, Family], settings: Settings, engine: Engine) -> None:
        self.fields = {
            family.field: family for family in families.values() if family.field is not None
        }
        self.file = next((family for family in families.values() if family.file), None)
        # What a JSON body has to hold, for errors.
        names = ", ".join(sorted(self.fields))
        self.expected = f"exactly one of {names}" if names else "a form"
        self._settings = settings
        self._engine = engine

    def of_body(self, body: Mapping[str, Any]) -> str:
        """Return the name of the model that a JSON body is for.

        Raises:
            InvalidInputError: it has none of the known fields, several, or asks for a variant
                that its family does not have.
        """
        found = [self.fields[name] for name in body if name in self.fields]
        if len(found) != 1:
            many = "more than one" if found else "none"
            raise InvalidInputError(
                f"The body has {many} of the fields that say which model it is for.",
                where="body",
                expected=self.expected,
                received=describe(body),
            )
        return self._present(found[0], found[0].model_for(body, self._settings))

    def of_file(self) -> str:
        """Return the name of the model that a form's file is for.

        Raises:
            NotFoundError: no family takes files here.
        """
        if self.file is None:
            raise NotFoundError(
                "No model here takes a file at this address.",
                where="body",
                expected=self.expected,
                received="a form",
            )
        return self._present(self.file, self.file.model_for({}, self._settings))

    def _present(self, family: Family, name: str) -> str:
        """Return the name, or that of the only serving model of the family if it is unknown."""
        if self._engine.model(name) is not None:
            return name
        statuses = self._engine.statuses()
        others = [
            status.name for status in statuses if status.family == family.name and status.serves
        ]
        known = any(status.name == name for status in statuses)
        return others[0] if not known and len(others) == 1 else name
