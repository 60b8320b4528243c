"""One file per protocol. A route only translates; the engine does the work."""

from fastapi import FastAPI

from services.gateway.routes import (
    asynchronous,
    batch,
    deployments,
    drift,
    experiments,
    images,
    inference,
    info,
    jobs,
    kserve,
    models,
    pages,
    predict,
    predictions,
    repository,
    scoring,
    status,
    summary,
    tasks,
    training,
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
        drift,
    ):
        app.include_router(group.router)
    predictions.install(app)
    app.include_router(asynchronous.router)
    app.include_router(tasks.router)
    app.include_router(jobs.router)
    app.include_router(training.router)
    inference.install(app)
    summary.install(app)
    pages.install(app)
