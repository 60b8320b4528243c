"""Routes without FastAPI's machinery between the request and its function."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send


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


class DirectRoutes:
    """Finds the direct route that a request is for, before the framework is asked."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        found = [route for route in app.routes if isinstance(route, DirectRoute)]
        self._fixed = {
            (method, route.path): route
            for route in found
            if not route.param_convertors
            for method in route.methods or ()
        }
        self._patterns = [route for route in found if route.param_convertors]

    def find(self, scope: Scope) -> ASGIApp | None:
        """Return the route's application and note the route in the scope; None: ask the router."""
        method, path = scope["method"], scope["path"]
        route = self._fixed.get((method, path))
        if route is None:
            for one in self._patterns:
                match = one.path_regex.match(path)
                if match and method in (one.methods or ()):
                    scope["path_params"] = match.groupdict()
                    route = one
                    break
            else:
                return None
        scope["app"] = self._app
        scope["route"] = route
        scope["endpoint"] = route.endpoint
        return route.app
