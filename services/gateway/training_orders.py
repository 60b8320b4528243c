"""From the body of a request to what is to be trained."""

from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidInputError
from services.core.received import describe
from services.core.settings import Settings
from services.families.base import Family, TrainableFamily
from services.gateway.schemas_training import SweepRequest, TrainRequest
from services.gateway.validation import validated
from services.registry.stages import parse_stage
from services.training.order import Order, Search, checked, named
from services.training.tracking import experiment_name

# What other systems call a field of ours; the first of two that are given counts as unknown.
_ALSO = {"model_name": "family", "register": "register_model"}


def training(
    body: Mapping[str, Any], found: Mapping[str, Family], settings: Settings
) -> tuple[TrainRequest, Order]:
    """Return a training as it was asked for.

    Raises:
        InvalidInputError: a field or a parameter is unknown, of another type, or out of bounds.
    """
    given = dict(body)
    for other, ours in _ALSO.items():
        if other in given and ours not in given:
            given[ours] = given.pop(other)
    asked = validated(TrainRequest, given)
    family, implied = named(found, asked.family)
    params = _merged(asked.model_extra or {}, asked.params or {}, implied)
    register = asked.register_model is not False
    if not register and (asked.stage is not None or asked.version_tag is not None):
        raise InvalidInputError(
            "Only a registered version has a stage or a version.",
            where="register_model",
            expected="true, or neither stage nor version_tag",
        )
    return asked, Order(
        family.name,
        checked(family, params),
        _experiment(settings, asked.experiment_name, family),
        asked.seed,
        register,
        None if asked.stage is None else parse_stage(asked.stage),
        asked.version_tag,
        asked.description,
        asked.run_name,
    )


def sweeping(
    body: Mapping[str, Any], found: Mapping[str, Family], settings: Settings
) -> tuple[SweepRequest, Order]:
    """Return a sweep as it was asked for; raises as `training` does."""
    given = dict(body)
    if "model_name" in given and "family" not in given:
        given["family"] = given.pop("model_name")
    asked = validated(SweepRequest, given)
    family, implied = named(found, asked.family)
    register = asked.register_best or asked.stage is not None or asked.version_tag is not None
    return asked, Order(
        family.name,
        checked(family, _merged({}, asked.fixed or {}, implied), varying=True),
        _experiment(settings, asked.experiment_name, family),
        asked.seed,
        register,
        None if asked.stage is None else parse_stage(asked.stage),
        asked.version_tag,
        run_name=asked.run_name,
        search=Search(asked.runs, asked.sampler, asked.parallel),
    )


def _merged(
    beside: Mapping[str, Any], params: Mapping[str, Any], implied: Mapping[str, Any]
) -> dict[str, Any]:
    twice = sorted(beside.keys() & params.keys())
    if twice:
        raise InvalidInputError(
            "A parameter is given twice.", where=twice[0], expected="it here or in params"
        )
    given = {**beside, **params}
    for name, value in implied.items():
        if given.setdefault(name, value) != value:
            raise InvalidInputError(
                "The name of the model says otherwise.",
                where=name,
                expected=str(value),
                received=describe(given[name]),
            )
    return given


def _experiment(settings: Settings, asked: str | None, family: TrainableFamily) -> str:
    return experiment_name(settings, asked, family.experiment or family.name)
