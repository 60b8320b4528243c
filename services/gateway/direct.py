"""A route without FastAPI's machinery between the request and its function."""

from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.types import Receive, Scope, Send


class DirectRoute(APIRoute):
    """Hands the request straight to a function that takes nothing else and returns a response.

    Parsing, dependencies and validation by annotation cost as much as a small model's prediction.
    The route stands in the OpenAPI document as any other; errors are handled as everywhere.
    """

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = app
