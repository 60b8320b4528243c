"""One file per protocol. A route only translates; the engine does the work."""

from fastapi import FastAPI

from services.gateway.routes import (
    experiments,
    images,
    info,
    models,
    pages,
    predict,
    status,
    webhook,
)


def install_routes(app: FastAPI) -> None:
    """Add every route."""
    predict.install(app)
    for group in (images, models, webhook, experiments, info, status):
        app.include_router(group.router)
    pages.install(app)
