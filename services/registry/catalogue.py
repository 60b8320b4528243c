"""What the registry holds, as far as serving needs to know it: plain values, nothing of MLflow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

# Name, number, and when it was created: equal for the same files only.
Identity = tuple[str, str, int]


class Stage(StrEnum):
    """Where a version is in its life; `none` is just registered."""

    NONE = "none"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"

    @property
    def title(self) -> str:  # type: ignore[override]
        """As MLflow and the answers of `/predict` write it: `Production`."""
        return self.value.capitalize()


@dataclass(frozen=True, slots=True)
class VersionRef:
    """One registered version.

    Attributes:
        name: of the registered model.
        version: its number, as a string.
        source: where MLflow keeps its files.
        created: milliseconds since 1970; tells apart versions of a model that was deleted and
            registered anew.
        stage: canonical.
        run_id: the run that made it, if any.
        tags: the version's tags.
    """

    name: str
    version: str
    source: str
    created: int
    stage: Stage = Stage.NONE
    run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        """Equal for the same files only, whatever happens to stage and tags."""
        return (self.name, self.version, self.created)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A registered model: who holds production, who held it before, who is in staging."""

    name: str
    production: VersionRef | None = None
    previous: VersionRef | None = None
    staging: VersionRef | None = None
    latest: VersionRef | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The registry at one moment.

    Attributes:
        models: by name.
        stale: it comes from the local copy, for MLflow does not answer.
    """

    models: Mapping[str, RegisteredModel]
    stale: bool = False
