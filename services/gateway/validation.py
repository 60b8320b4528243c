"""Check a decoded body against its schema, with Slipway's own error."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.core.errors import InvalidInputError
from services.core.received import describe

Body = TypeVar("Body", bound=BaseModel)


def validated(kind: type[Body], body: Any) -> Body:
    """Return a decoded JSON body as its schema.

    Raises:
        InvalidInputError: it does not fit.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        found = [
            (
                _field(kind, item["loc"]),
                item["msg"],
                "nothing" if item["type"] == "missing" else describe(item["input"]),
            )
            for item in error.errors(include_url=False, include_context=False)
        ]
        names = ", ".join(dict.fromkeys(name for name, _, _ in found))
        raise InvalidInputError(
            f"The value of {names} is not accepted.",
            where=found[0][0],
            expected="; ".join(f"{name}: {message}" for name, message, _ in found),
            received="; ".join(dict.fromkeys(came for _, _, came in found)),
        ) from None


def _field(kind: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """Name the field of the body; one that the schema does not have is the caller's own text."""
    known = bool(location) and location[0] in kind.model_fields
    return str(location[0]) if known else "body"
