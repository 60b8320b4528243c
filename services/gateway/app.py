"""Assembles the application: engine, middleware, routes, and the errors they share."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from services import __version__
from services.core.metering.reporting import Reporter
from services.core.metering.sharing import shared
from services.core.metering.vitals import GATEWAY, Vitals
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine.engine import Engine
from services.families import discover
from services.families.base import Family
from services.gateway.choice import Choice
from services.gateway.collectors import Collectors
from services.gateway.errors import install_error_handlers
from services.gateway.middleware import wrap
from services.gateway.placement import PlacedEngine
from services.gateway.registry_desk import RegistryDesk
from services.gateway.routes import install_routes
from services.gateway.sentry import start_sentry
from services.jobs.desk import JobDesk
from services.jobs.watch import JobWatch
from services.ledger.recorder import Recorder

if TYPE_CHECKING:
    from services.ledger.shipping.thread import ShipperThread

_DESCRIPTION = """\
Serves models over HTTP. Every answer carries `X-Request-ID`; an answered prediction also
`X-Prediction-ID`. Every error says what was wrong, where, what was expected and what came, in the
shape of its protocol; the same mistake has the same status at every door.
"""


def create_app(settings: Settings, families: Mapping[str, Family] | None = None) -> FastAPI:
    """Build the application; `app.state.front` is what a server is to be given.

    Models load in the background once it starts.

    With MLFLOW_TRACKING_URI it follows that registry; without it only what comes with Slipway
    serves. `families` replaces those found in `services.families`.

    Raises:
        ConfigurationError: a family is malformed.
    """
    start_sentry(settings)
    metrics = Metrics()
    metrics.tallies.add(Vitals(GATEWAY, metrics.own))
    families = discover() if families is None else families
    desk = RegistryDesk(settings, families, metrics)
    recorder = Recorder(settings, metrics) if settings.ledger else None
    watch = _job_watch(settings)
    jobs = JobDesk(settings, metrics)
    engine: Engine
    if settings.worker_models:
        engine = PlacedEngine(settings, families, metrics, desk.registry, recorder, jobs)
    else:
        engine = Engine(settings, families, metrics, desk.registry, recorder)
    app = FastAPI(
        title="Slipway",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        # Short names for the methods of generated clients.
        generate_unique_id_function=lambda route: route.name,
        # A redirect would be built from the caller's own Host header.
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.metrics = metrics
    app.state.engine = engine
    app.state.families = families
    app.state.desk = desk
    app.state.job_watch = watch
    app.state.collectors = Collectors(settings, metrics.registry, watch, lambda: desk.health)
    app.state.jobs = jobs
    app.state.choice = Choice(families, settings, engine)
    install_error_handlers(app)
    install_routes(app)
    app.state.front = wrap(app, settings, metrics, engine)
    return app


def _job_watch(settings: Settings) -> JobWatch | None:
    """Return what looks at jobs, where there can be any; the metrics ask it too."""
    if not settings.jobs or settings.redis_url is None:
        return None
    return JobWatch(settings)


def _shipper(settings: Settings) -> "ShipperThread | None":
    if not settings.ledger or settings.ledger_shipper == "off":
        return None
    # Libraries of databases, that a gateway beside a shipping process does without.
    from services.ledger.shipping.thread import ShipperThread

    shipper = ShipperThread(settings)
    shipper.start()
    return shipper


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine: Engine = app.state.engine
    desk: RegistryDesk = app.state.desk
    settings: Settings = app.state.settings
    jobs: JobDesk = app.state.jobs
    # Whoever is scraped may be another process.
    reporter = None if shared() is None else Reporter(app.state.metrics.tallies)
    engine.start()
    jobs.start()
    desk.start(engine)
    shipper = _shipper(settings)
    watch: JobWatch | None = app.state.job_watch
    if watch is not None:
        watch.look()
    yield
    if shipper is not None:
        await asyncio.to_thread(shipper.stop)
    # Not in a `finally`: a shutdown that is forced by a second signal must not wait here.
    if watch is not None:
        watch.close()
    collectors: Collectors = app.state.collectors
    collectors.close()
    await desk.close()
    await engine.close()
    # Last: what waited for workers has been canceled by now.
    await jobs.close()
    if reporter is not None:
        await asyncio.to_thread(reporter.close)
