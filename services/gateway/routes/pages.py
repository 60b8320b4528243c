"""The few pages for people: a home page to try a photo on, and the API's documentation."""

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

_STATIC = Path(__file__).parents[1] / "static"

_SELF_ONLY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Swagger UI sets styles of its own.
_SWAGGER = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# ReDoc too, and it searches in a worker of its own making.
_REDOC = _SWAGGER + "; worker-src blob:"


def home_page() -> FileResponse:
    """The page that `/` shows to a browser."""
    return _page("index.html", _SELF_ONLY)


def install(app: FastAPI) -> None:
    """Add the pages; they are no part of the API and of its OpenAPI document."""
    app.add_api_route("/docs", docs_page, include_in_schema=False, response_model=None)
    app.add_api_route("/redoc", redoc_page, include_in_schema=False, response_model=None)
    # The files of both viewers come in a package, so that the pages work without the internet.
    swagger = StaticFiles(packages=[("fastapi_offline", "static")])
    app.mount("/static/swagger", swagger, name="swagger")
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")


async def docs_page() -> FileResponse:
    """The API's documentation, to read and to try."""
    return _page("docs.html", _SWAGGER)


async def redoc_page() -> FileResponse:
    """The same, to read only."""
    return _page("redoc.html", _REDOC)


def _page(name: str, policy: str) -> FileResponse:
    headers = {"Content-Security-Policy": policy, "Vary": "Accept", "Cache-Control": "no-cache"}
    return FileResponse(_STATIC / name, media_type="text/html", headers=headers)
