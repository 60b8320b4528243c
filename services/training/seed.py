"""The demo models: trained and put into production, so that a first start has what to serve."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services import families
from services.core.errors import InvalidInputError, SlipwayError
from services.core.settings import Settings
from services.families.base import Family, TrainableFamily
from services.registry.catalogue import Stage
from services.registry.client import connect, exists
from services.registry.registry import Registry
from services.training.bundled import register_bundled
from services.training.publish import Release
from services.training.run import Note, train

Outcome = Literal["registered", "present", "failed"]
_SEED = 0
_VERSION = "1.0.0"
_STORY = "Comes with Slipway."


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo model: its registered name, its family, and the parameters besides the defaults."""

    name: str
    family: Family
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seeded:
    """What became of a demo model; `error` says why it failed."""

    name: str
    outcome: Outcome
    seconds: float = 0.0
    metrics: Mapping[str, float] | None = None
    error: str | None = None


def demos(found: Mapping[str, Family]) -> list[Demo]:
    """Return the demo models, the quickest to train first.

    They are every variant of each trainable family, and the bundled segmenter.
    """
    listed = [
        Demo(family.registered_name({**family.defaults(), **params}), family, params)
        for family in sorted(
            (family for family in found.values() if isinstance(family, TrainableFamily)),
            key=lambda family: family.cost,
        )
        for params in _variants(family)
    ]
    if "cutler" in found:
        listed.insert(0, Demo("cutler", found["cutler"], {}))
    return listed


def _variants(family: TrainableFamily) -> Iterator[dict[str, Any]]:
    """Yield parameters for each name that the family's models are registered under."""
    names = {family.registered_name(family.defaults())}
    yield {}
    for parameter in family.parameters:
        for choice in parameter.choices:
            name = family.registered_name({**family.defaults(), parameter.name: choice})
            if name not in names:
                names.add(name)
                yield {parameter.name: choice}


def seed_models(
    settings: Settings,
    note: Note,
    *,
    only: str | None = None,
    force: bool = False,
    on_done: Callable[[Seeded], None] | None = None,
) -> list[Seeded]:
    """Put every demo model into production that has no version there.

    One that fails does not stop the others.

    Args:
        only: the name of a model, or of a family: only that.
        force: train a new version even where one is in production.

    Raises:
        InvalidInputError: `only` names no demo model.
        RegistryUnavailableError: MLflow does not answer.
    """
    found = families.discover()
    wanted = [
        demo for demo in demos(found) if only is None or only in {demo.name, demo.family.name}
    ]
    if not wanted:
        raise InvalidInputError(
            "There is no such demo model.",
            where="only",
            expected=", ".join(demo.name for demo in demos(found)),
        )
    serving = _in_production(settings, found)
    results = []
    for number, demo in enumerate(wanted, 1):
        if demo.name in serving and not force:
            result = Seeded(demo.name, "present")
        else:
            note(f"{number}/{len(wanted)} {demo.name}")
            result = _seed(demo, settings, note)
        results.append(result)
        if on_done is not None:
            on_done(result)
    return results


def _in_production(settings: Settings, found: Mapping[str, Family]) -> set[str]:
    # MLflow's patience is set once per process: training needs more of it than a look does.
    if exists(settings.tracking_uri):
        connect(settings, patient=True)
    models = Registry(settings, found).snapshot().models
    return {name for name, model in models.items() if model.production is not None}


def _seed(demo: Demo, settings: Settings, note: Note) -> Seeded:
    started = time.perf_counter()
    try:
        if isinstance(demo.family, TrainableFamily):
            metrics = train(
                demo.family,
                params=demo.params,
                seed=_SEED,
                source=None,
                settings=settings,
                register=True,
                stage=Stage.PRODUCTION,
                version_tag=_VERSION,
                description=_STORY,
                run_name=demo.name,
                note=lambda message: note(f"{demo.name}: {message}"),
            ).metrics
        else:
            register_bundled(
                demo.family, settings, Release(demo.name, Stage.PRODUCTION, _VERSION, _STORY)
            )
            metrics = {}
    except Exception as error:
        why = (
            error.message if isinstance(error, SlipwayError) else f"{type(error).__name__}: {error}"
        )
        return Seeded(demo.name, "failed", time.perf_counter() - started, error=why)
    return Seeded(demo.name, "registered", time.perf_counter() - started, metrics)
