"""What the commands about registered models share: the registry, and words for what it holds."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from services.cli.console import UsageError, out
from services.core.errors import InvalidInputError
from services.core.settings import Settings, get_settings
from services.families.base import Family
from services.registry.catalogue import Stage, VersionRef

if TYPE_CHECKING:
    from services.registry.details import Details
    from services.registry.registry import Registry

T = TypeVar("T")

Name = Annotated[str, typer.Argument(help="Name of the registered model.", show_default=False)]
Version = Annotated[
    str,
    typer.Argument(help="Its number, or what its tag `version` says.", show_default=False),
]

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Desk:
    """The registry that the settings name, and what opens its models."""

    registry: "Registry"
    families: Mapping[str, Family]
    settings: Settings


def desk() -> Desk:
    """Return the registry; its libraries are imported only here.

    Raises:
        ConfigurationError: the settings are not accepted.
    """
    from services.families import discover
    from services.registry.registry import Registry

    settings, families = get_settings(), discover()
    return Desk(Registry(settings, families), families, settings)


def exists(settings: Settings) -> bool:
    """Say whether there is anything to look into; False before the embedded MLflow's first use."""
    from services.registry import client

    return client.exists(settings.tracking_uri)


def usage(make: Callable[[], T]) -> T:
    """Return what `make` returns; what it refuses is misuse of the command."""
    try:
        return make()
    except InvalidInputError as error:
        raise UsageError(error.message, where=error.where, expected=error.expected) from None


def stage(text: str | None) -> Stage | None:
    """Return the stage that a person means, in whatever spelling.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    from services.registry.stages import parse_stage

    return usage(lambda: parse_stage(text))


def label(ref: VersionRef | None) -> str:
    """Return a version as people call it: `3 (1.2.0)`."""
    if ref is None:
        return "–"
    tag = ref.tags.get("version")
    return ref.version if tag is None else f"{ref.version} ({tag})"


def age(created: int) -> str:
    """Return how long ago a time (milliseconds since 1970) was, in one unit."""
    seconds = max(0, int(time.time() - created / 1000))
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size or size == 1)
    return f"{seconds // size} {unit}"


def as_json(ref: VersionRef | None) -> dict[str, Any] | None:
    """Return a version as JSON values."""
    if ref is None:
        return None
    return {
        "version": ref.version,
        "stage": str(ref.stage),
        "run_id": ref.run_id,
        "created": ref.created,
        "tags": dict(ref.tags),
    }


def print_json(value: Any) -> None:
    """Print JSON, for programs."""
    out.print(json.dumps(value, indent=2, default=str))


def details(here: Desk, ref: VersionRef) -> "Details":
    """Return what is recorded of a version besides its stage.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
    """
    from services.registry.details import details as read

    return read(here.settings, ref)


def family_name(here: Desk, ref: VersionRef | None) -> str:
    """Return the family that opens a version; a dash where that is not known.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
    """
    from services.registry import details

    return details.UNKNOWN if ref is None else details.family_name(here.settings, ref)
