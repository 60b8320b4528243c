"""Check a decoded body against its schema, with Slipway's own error."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.core.errors import InvalidInputError

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
            (".".join(str(part) for part in item["loc"][:1]) or "body", item["msg"])
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        names = ", ".join(dict.fromkeys(name for name, _ in found))
        raise InvalidInputError(
            f"The value of {names} is not accepted.",
            where=found[0][0],
            expected="; ".join(f"{name}: {message}" for name, message in found),
        ) from None
