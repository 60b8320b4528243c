"""The search space of a family, in Optuna's words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from services.core.errors import InvalidInputError
from services.families.base import Parameter, TrainableFamily

if TYPE_CHECKING:
    import optuna

Sampler = Literal["random", "tpe"]


def varied(family: TrainableFamily, fixed: Mapping[str, Any]) -> list[Parameter]:
    """Return the parameters that a sweep varies.

    Raises:
        InvalidInputError: nothing is left to vary.
    """
    found = [
        parameter
        for parameter in family.parameters
        if parameter.tune and parameter.name not in fixed and _has_room(parameter)
    ]
    if not found:
        raise InvalidInputError(
            "A sweep of this family has nothing to vary.",
            where=family.name,
            expected="a parameter with limits or choices that is not given",
        )
    return found


def study(sampler: Sampler, seed: int) -> "optuna.Study":
    """Return a study, in memory, that proposes the same trials for the same seed and results."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers: dict[str, Any] = {
        "random": optuna.samplers.RandomSampler,
        "tpe": optuna.samplers.TPESampler,
    }
    return optuna.create_study(direction="maximize", sampler=samplers[sampler](seed=seed))


def draw(trial: "optuna.Trial", parameters: list[Parameter]) -> dict[str, Any]:
    """Return a value for each parameter, of the parameter's own type."""
    return {parameter.name: _draw(trial, parameter) for parameter in parameters}


def _has_room(parameter: Parameter) -> bool:
    if parameter.choices:
        return len(parameter.choices) > 1
    if isinstance(parameter.default, bool):
        return True
    return parameter.low is not None and parameter.high is not None


def _draw(trial: "optuna.Trial", parameter: Parameter) -> Any:
    if parameter.choices:
        return trial.suggest_categorical(parameter.name, parameter.choices)
    if isinstance(parameter.default, bool):
        return trial.suggest_categorical(parameter.name, (False, True))
    assert parameter.low is not None and parameter.high is not None
    low, high = parameter.low, parameter.high
    if isinstance(parameter.default, int):
        return trial.suggest_int(parameter.name, int(low), int(high), log=parameter.log)
    return trial.suggest_float(parameter.name, float(low), float(high), log=parameter.log)
