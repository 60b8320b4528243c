"""One file per protocol. A route only translates; the engine does the work."""

from fastapi import FastAPI

from services.gateway.routes import (
    batch,
    deployments,
    experiments,
    images,
    inference,
    info,
    kserve,
    models,
    pages,
    predict,
    predictions,
    repository,
    scoring,
    status,
    summary,
    webhook,
)


def install_routes(app: FastAPI) -> None:
    """Add every route."""
    predict.install(app)
    for group in (
        batch,
        images,
        models,
        repository,
        webhook,
        experiments,
        info,
        status,
        kserve,
        scoring,
        deployments,
    ):
        app.include_router(group.router)
    predictions.install(app)
    inference.install(app)
    summary.install(app)
    pages.install(app)
