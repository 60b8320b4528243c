"""Two versions side by side: what their runs recorded, and what the checks say of them here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.core.settings import Settings
from services.families.base import Family
from services.registry.catalogue import VersionRef
from services.registry.details import Details
from services.rollout import choose
from services.rollout.checks import Check, Options
from services.rollout.deploy import Versions, look
from services.rollout.gates import Note, examine
from services.rollout.subject import Bench


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two versions."""

    ref: VersionRef
    details: Details


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions of a model; `checks` are those of the second against the first."""

    name: str
    first: Side
    second: Side
    checks: tuple[Check, ...]

    def metrics(self) -> dict[str, tuple[float | None, float | None]]:
        """Return every metric of either run, by name."""
        return _pairs(self.first.details.metrics, self.second.details.metrics)

    def params(self) -> dict[str, tuple[str | None, str | None]]:
        """Return every parameter of either run, by name."""
        return _pairs(self.first.details.params, self.second.details.params)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "model": self.name,
            "versions": [self.first.ref.version, self.second.ref.version],
            "metrics": {name: list(pair) for name, pair in self.metrics().items()},
            "params": {name: list(pair) for name, pair in self.params().items()},
            "checks": [check.as_json() for check in self.checks],
        }


def compare(
    registry: Versions,
    families: Mapping[str, Family],
    settings: Settings,
    name: str,
    versions: tuple[str, str],
    *,
    details: Callable[[VersionRef], Details],
    options: Options | None,
    note: Note = lambda _: None,
) -> Comparison:
    """Compare two versions.

    Args:
        versions: numbers or tags.
        details: returns what is recorded of a version.
        options: of the checks; None: make none.

    Raises:
        NotFoundError: there is no such model or version.
        RegistryUnavailableError: MLflow does not answer.
    """
    look(registry, name)
    known = registry.versions(name)
    first, second = (choose.version(known, wanted) for wanted in versions)
    checks: tuple[Check, ...] = ()
    if options is not None:
        checks = examine(Bench(registry, families, settings), second, first, options, note)
    return Comparison(name, Side(first, details(first)), Side(second, details(second)), checks)


def _pairs(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> dict[str, tuple[Any | None, Any | None]]:
    return {name: (first.get(name), second.get(name)) for name in sorted({*first, *second})}
