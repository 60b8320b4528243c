"""Promotion behind gates: look, check, and move only what passed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from services.core.errors import ConflictError
from services.core.settings import Settings
from services.families.base import Family
from services.registry.catalogue import RegisteredModel, Snapshot, Stage, VersionRef
from services.rollout import choose
from services.rollout.checks import Check, Options, all_hold
from services.rollout.gates import Note, examine
from services.rollout.subject import Bench, Source


class Versions(Source, Protocol):
    """What a deployment needs of the registry."""

    def snapshot(self) -> Snapshot:
        """Look at every registered model."""
        ...

    def versions(self, name: str) -> list[VersionRef]:
        """Return every version of a model, newest first."""
        ...

    def transition(self, name: str, version: str, stage: Stage, *, actor: str) -> VersionRef:
        """Move a version to a stage."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for.

    Attributes:
        name: of the registered model.
        version: its number, or what its tag `version` says.
        source: the stage it has to be in; None: any.
        to: the stage it shall go to; None: the next one.
        dry_run: check only.
        actor: who asks; kept with the promotion.
    """

    name: str
    version: str
    source: Stage | None = None
    to: Stage | None = None
    dry_run: bool = False
    actor: str = "slipway deploy"
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class Report:
    """How a deployment went.

    Attributes:
        name, version, stage: the version and where it was.
        to: where it was to go.
        serving: the version in production that it was compared with.
        checks: in the order of `checks.NAMES`.
        promoted: whether it is there now.
    """

    name: str
    version: str
    stage: Stage
    to: Stage
    serving: str | None
    checks: tuple[Check, ...]
    dry_run: bool
    promoted: bool = False

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all_hold(self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "model": self.name,
            "version": self.version,
            "stage": str(self.stage),
            "to": str(self.to),
            "serving_version": self.serving,
            "passed": self.passed,
            "promoted": self.promoted,
            "dry_run": self.dry_run,
            "checks": [check.as_json() for check in self.checks],
        }


def deploy(
    registry: Versions,
    families: Mapping[str, Family],
    settings: Settings,
    order: Order,
    *,
    note: Note = lambda _: None,
    confirm: Callable[[Report], bool] = lambda _: True,
) -> Report:
    """Check a version and, if every check holds and `confirm` agrees, move it.

    Raises:
        NotFoundError: there is no such model or version.
        ConflictError: it is not where it is said to be, or another version took over meanwhile.
        RegistryUnavailableError: MLflow does not answer.
    """
    known = look(registry, order.name)
    ref = choose.version(registry.versions(order.name), order.version)
    choose.require(ref, order.source)
    to = choose.target(ref, order.to)
    serving = known.production
    if serving is not None and serving.identity == ref.identity:
        serving = None
    checks = examine(Bench(registry, families, settings), ref, serving, order.options, note)
    report = Report(
        name=ref.name,
        version=ref.version,
        stage=ref.stage,
        to=to,
        serving=None if serving is None else serving.version,
        checks=checks,
        dry_run=order.dry_run,
    )
    if order.dry_run or not report.passed or not confirm(report):
        return report
    _unchanged(registry, ref, known)
    registry.transition(ref.name, ref.version, to, actor=order.actor)
    return replace(report, promoted=True)


def look(registry: Versions, name: str) -> RegisteredModel:
    """Return what the registry says of a model now.

    Raises:
        NotFoundError: it is not registered; the error names those that come close.
    """
    models = registry.snapshot().models
    if name not in models:
        raise choose.model(models, name)
    return models[name]


def _unchanged(registry: Versions, ref: VersionRef, known: RegisteredModel) -> None:
    """Stop if what was compared with, or the version itself, has moved during the checks."""
    before = known.production and known.production.identity
    after = look(registry, ref.name).production
    if (after and after.identity) != before:
        now = "no version" if after is None else f"version {after.version}"
        raise ConflictError(
            f"While {ref.name} was checked, production changed: {now} holds it now.",
            expected="the same command once more, to compare with that",
        )
    current = choose.version(registry.versions(ref.name), ref.version)
    if (current.identity, current.stage) != (ref.identity, ref.stage):
        raise ConflictError(
            f"While version {ref.version} of {ref.name} was checked, it was moved to "
            f"{current.stage}."
        )
