"""What the engine knows of a model by name."""

from collections.abc import Mapping

from starlette.requests import Request

from services.core.errors import ModelUnavailableError, NotFoundError
from services.engine.engine import Engine
from services.engine.status import ModelStatus
from services.families.base import Family
from services.gateway.dependencies import get_desk, get_engine


def status_of(engine: Engine, name: str) -> ModelStatus | None:
    """Return the model's status; None if there is no model of that name."""
    return next((status for status in engine.statuses() if status.name == name), None)


def family_of(engine: Engine, families: Mapping[str, Family], name: str) -> Family | None:
    """Return the model's family, as far as it is known."""
    serving = engine.model(name)
    if serving is not None:
        return families.get(serving.info.family)
    status = status_of(engine, name)
    return None if status is None or status.family is None else families.get(status.family)


def all_known(request: Request) -> bool:
    """Whether the names of all models here are known: the registry was seen, if there is one."""
    desk = get_desk(request)
    if desk.registry is not None:
        found = desk.snapshot
        # Without MLflow there is what was known of it, unless nothing was.
        return found is not None and (bool(found.models) or not found.stale)
    engine = get_engine(request)
    return bool(engine.statuses()) or engine.not_ready() is None


async def check_serves(request: Request, name: str, version: str | None = None) -> None:
    """Go on if a model answers at once: the version, or whichever is in production.

    Raises:
        NotFoundError: there is no such model or version.
        ModelUnavailableError: it does not answer, or would first have to be loaded.
        RegistryUnavailableError: MLflow does not say whether there is such a version.
    """
    engine, desk = get_engine(request), get_desk(request)
    status = status_of(engine, name)
    if status is None and not all_known(request):
        raise ModelUnavailableError("The models here are not known yet.", retry_after=1)
    if status is None:
        raise NotFoundError("There is no model of that name.", where="model")
    if version is None:
        if not status.serves:
            raise ModelUnavailableError(f"The model {name} is {status.state}.", retry_after=2)
        return
    # Of what is predicted elsewhere only that one is known to be there.
    if engine.in_memory(name, version) is not None or status.serving == version:
        return
    if desk.registry is None:
        raise NotFoundError("There is no such version of the model.", where="version")
    await desk.ask(lambda registry: registry.find(name, version))
    raise ModelUnavailableError(
        f"Version {version} of {name} is not in memory.", where="version", retry_after=2
    )
