"""The segmenter that is bundled with Slipway: registered as it is, for it is trained already."""

from services.core.settings import Settings
from services.families.base import Family
from services.registry.catalogue import VersionRef
from services.training.judge import answer_example
from services.training.publish import Release, keep, publish
from services.training.run import tags
from services.training.tracking import Desk, TrainingRun

_EXPERIMENT = "cutler_model"


def register_bundled(family: Family, settings: Settings, release: Release) -> VersionRef:
    """Log the bundled weights to a run, see that what was logged answers, and register it.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
        CheckpointError: what was logged cannot be opened, or does not answer its example.
    """
    from services.families.cutler.files import BUNDLED, CONFIG, WEIGHTS
    from services.families.cutler.saving import fitted

    desk = Desk.open(settings, None, _EXPERIMENT)
    model = fitted(BUNDLED / WEIGHTS, BUNDLED / CONFIG)
    with TrainingRun(desk, name=release.name, tags=tags(family)) as run:
        run.params({"weights": "bundled"})
        with keep(desk, run.id, family, model, release.name) as kept:
            answer_example(family, kept.artifact, settings)
        return publish(desk, run.id, family, kept.uri, release)
