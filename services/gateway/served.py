"""What the engine knows of a model by name."""

from collections.abc import Mapping

from services.engine.engine import Engine
from services.engine.status import ModelStatus
from services.families.base import Family


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
