"""One file per protocol. A route only translates; the engine does the work."""

from fastapi import FastAPI

from services.gateway.routes import images, pages, status


def install_routes(app: FastAPI) -> None:
    """Add every route."""
    app.include_router(status.router)
    app.include_router(images.router)
    pages.install(app)
