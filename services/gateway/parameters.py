"""Parameters of paths and queries that several routes take: which model, and which version."""

from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel, Field
from starlette.requests import Request

from services.gateway.validation import validated

_VERSION = r"^[A-Za-z0-9._-]{1,64}$"
_WHICH_VERSION = "Which version; not with `stage`."
_WHICH_STAGE = "Version of which stage; without it, production."
_LONGEST_STAGE = 32

Name = Annotated[
    str, Path(min_length=1, max_length=250, description="Name of the registered model.")
]
Version = Annotated[str | None, Query(pattern=_VERSION, description=_WHICH_VERSION)]
StageName = Annotated[str | None, Query(max_length=_LONGEST_STAGE, description=_WHICH_STAGE)]


class Which(BaseModel):
    """Which version of a model a request is for: the same two, for routes that read them."""

    version: Annotated[str | None, Field(pattern=_VERSION, description=_WHICH_VERSION)] = None
    stage: Annotated[str | None, Field(max_length=_LONGEST_STAGE, description=_WHICH_STAGE)] = None


_ANY = Which()


def which(request: Request) -> Which:
    """Return what the query says.

    Raises:
        InvalidInputError: a value is not accepted.
    """
    if not request.scope["query_string"]:
        return _ANY
    given = request.query_params
    return validated(Which, {name: given[name] for name in Which.model_fields if name in given})
