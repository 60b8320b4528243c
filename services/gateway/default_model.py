"""Which model answers where none is named: `POST /invocations`."""

from starlette.requests import Request

from services.core.errors import ModelUnavailableError, NotFoundError
from services.engine.status import State
from services.gateway.dependencies import get_engine, get_families, get_settings
from services.gateway.rows import PICTURE
from services.gateway.served import all_known

# What `slipway run` trains, and what most requests of this kind are for: a row of numbers.
USUAL = "ml_classifier"
_COMING = (State.STARTING, State.LOADING, State.WARMING)


def default_model(request: Request) -> str:
    """Return DEFAULT_MODEL; without it `ml_classifier`, else the only model that takes JSON.

    Which models are loaded already makes no difference, so the same one answers after a restart.

    Raises:
        NotFoundError: there is none, or more than one.
        ModelUnavailableError: it is not known yet.
    """
    named = get_settings(request).default_model
    if named is not None:
        return named
    engine, families = get_engine(request), get_families(request)
    here = [status for status in engine.statuses() if status.wanted is not None]
    if any(status.name == USUAL for status in here):
        return USUAL
    known = {status.name: families.get(status.family or "") for status in here}
    fitting = [name for name, family in known.items() if not family or family.takes != PICTURE]
    unsure = any(known[status.name] is None and status.state in _COMING for status in here)
    if unsure or not all_known(request):
        raise ModelUnavailableError("The models here are not known yet.", retry_after=1)
    if len(fitting) == 1:
        return fitting[0]
    raise NotFoundError(
        f"No model is named, and {len(fitting)} models here could be meant.",
        where="path",
        expected="/models/{name}/invocations, or the setting DEFAULT_MODEL",
    )
