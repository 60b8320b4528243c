"""Stages: who holds production and staging, when three places in MLflow may each say something.

An alias (`production`, `staging`) is the truth. The deprecated stage of MLflow, which clients of
old set, is followed and mirrored. What both were when they last agreed is remembered in a tag of
the registered model: whichever differs from it is what somebody changed.
"""

from dataclasses import dataclass

from services.core.errors import InvalidInputError
from services.registry.catalogue import Stage

PREVIOUS = "previous"
# Stages that one version at a time holds, each with its alias of the same name.
HELD = (Stage.PRODUCTION, Stage.STAGING)

_SPELLINGS = {
    **{stage.value: stage for stage in Stage},
    "development": Stage.NONE,
    "dev": Stage.NONE,
    "prod": Stage.PRODUCTION,
    "archive": Stage.ARCHIVED,
}


def parse_stage(text: str) -> Stage:
    """Return the stage that a text means, in any case; `development` is none.

    Raises:
        InvalidInputError: it is none of them.
    """
    found = _SPELLINGS.get(text.strip().lower())
    if found is None:
        raise InvalidInputError(
            "There is no such stage.",
            where="stage",
            expected="none (or development), staging, production or archived",
        )
    return found


def tag_of(stage: Stage) -> str:
    """Return the registered model's tag that remembers a stage's holder."""
    return f"slipway.{stage.value}"


@dataclass(frozen=True, slots=True)
class Signals:
    """What is said of one stage; each a version's number, or None for nobody.

    Attributes:
        alias: who has the alias.
        legacy: the newest version in MLflow's own stage of that name.
        known: who held it when both last agreed.
    """

    alias: str | None = None
    legacy: str | None = None
    known: str | None = None

    @property
    def holder(self) -> str | None:
        """Whoever holds the stage: by the alias if that changed, else by MLflow's own stage."""
        return self.alias if self.alias != self.known else self.legacy

    @property
    def settled(self) -> bool:
        """Whether all three agree."""
        return self.alias == self.legacy == self.known


@dataclass(frozen=True, slots=True)
class Holders:
    """Who is to hold what."""

    production: str | None = None
    staging: str | None = None

    def of(self, stage: Stage) -> str | None:
        """Return the holder of production or staging."""
        return self.production if stage is Stage.PRODUCTION else self.staging


def resolve(production: Signals, staging: Signals) -> Holders:
    """Return who holds what; a version in production is not in staging as well."""
    held = production.holder
    waiting = staging.holder
    return Holders(held, None if waiting == held else waiting)


def moved(now: Holders, number: str, stage: Stage) -> Holders:
    """Return who holds what once a version has moved."""
    production = None if now.production == number else now.production
    staging = None if now.staging == number else now.staging
    if stage is Stage.PRODUCTION:
        production = number
    elif stage is Stage.STAGING:
        staging = number
    return Holders(production, staging)


def before(production: Signals, now: Holders) -> str | None:
    """Return who held production until now, if that is somebody else and not in staging."""
    for number in (production.known, production.alias, production.legacy):
        if number is not None and number not in (now.production, now.staging):
            return number
    return None
