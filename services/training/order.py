"""What somebody wants trained, as a job carries it: checked at the door, done by a worker."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from services.core.errors import InvalidInputError
from services.families.base import Family, TrainableFamily
from services.registry.catalogue import Stage
from services.registry.stages import parse_stage
from services.training.parameters import complete
from services.training.search import Sampler, varied


@dataclass(frozen=True, slots=True)
class Search:
    """The sweep, where it is one; see `sweep`."""

    runs: int
    sampler: Sampler
    parallel: int


@dataclass(frozen=True, slots=True)
class Order:
    """A training or a sweep; see `run.train` and `sweep.sweep` for what the words mean.

    Attributes:
        family: its name.
        params: every parameter of a training; those that a sweep does not vary.
        experiment: its name, decided when the order was taken.
    """

    family: str
    params: Mapping[str, Any]
    experiment: str
    seed: int = 0
    register: bool = True
    stage: Stage | None = None
    version_tag: str | None = None
    description: str = ""
    run_name: str | None = None
    search: Search | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return what `as_json` gave."""
        known = {name: values[name] for name in cls.__slots__ if name in values}
        stage, search = known.get("stage"), known.get("search")
        known["stage"] = None if stage is None else parse_stage(stage)
        known["search"] = None if search is None else Search(**search)
        return cls(**known)


def named(found: Mapping[str, Family], name: str) -> tuple[TrainableFamily, dict[str, Any]]:
    """Return the family of this name, or the one whose models are registered under it, and what
    parameters that name implies (`sentiment-analysis-bert`: the kind `bert`).

    Raises:
        InvalidInputError: there is no such family, or it is not trained like this.
    """
    known = variants(found)
    if name not in known:
        raise InvalidInputError(
            "No family of that name can be trained.",
            where="family",
            expected="one of " + ", ".join(known),
        )
    return known[name]


def variants(found: Mapping[str, Family]) -> dict[str, tuple[TrainableFamily, dict[str, Any]]]:
    """Return what can be trained: families by name, then by what their models are called."""
    families = [family for family in found.values() if isinstance(family, TrainableFamily)]
    known: dict[str, tuple[TrainableFamily, dict[str, Any]]] = {
        family.name: (family, {}) for family in families
    }
    for family in families:
        choices: list[dict[str, Any]] = [{}]
        choices += [
            {parameter.name: choice}
            for parameter in family.parameters
            for choice in parameter.choices
        ]
        for params in choices:
            name = family.registered_name({**family.defaults(), **params})
            known.setdefault(name, (family, params))
    return known


def checked(
    family: TrainableFamily, given: Mapping[str, Any], *, varying: bool = False
) -> dict[str, Any]:
    """Return the parameters of an order that came from elsewhere than this machine.

    Args:
        varying: it is for a sweep: only what was given, for the others are drawn.

    Raises:
        InvalidInputError: a parameter is not accepted, or nothing is left to vary.
    """
    chosen = complete(family, given)
    for parameter in family.parameters:
        # A text that may be anything names a column, a folder or a model elsewhere: whoever sits
        # at this machine may have it read that.
        free = isinstance(parameter.default, str) and not parameter.choices
        if free and chosen[parameter.name] != parameter.default:
            raise InvalidInputError(
                "This parameter is for the command line only.",
                where=parameter.name,
                expected="nothing: jobs learn from the data that comes with Slipway",
            )
    if not varying:
        return chosen
    try:
        varied(family, given)
    except InvalidInputError as error:
        error.where = "fixed"
        raise
    return {name: chosen[name] for name in given}
