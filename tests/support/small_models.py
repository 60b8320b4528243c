"""Families that bring a small model of their own, so that a gateway serves them without MLflow."""

from pathlib import Path
from typing import Any

from services.core.settings import Settings
from services.families import discover
from services.families.base import Artifact, Family, TrainableFamily
from tests.conftest import settings_for_tests
from tests.families.small import train

_HIDDEN = 16


def own(family: Family, artifact: Artifact) -> Family:
    """Return the family as one that comes with this model."""

    class Own(type(family)):  # type: ignore[misc]
        def builtin(self, settings: Settings) -> Artifact:
            return artifact

    made: Family = Own()
    return made


def untrained_digits(folder: Path) -> Family:
    """Return the digits family with a network that knows nothing, which is made at once."""
    from services.families import _torch
    from services.families.digits.network import build

    folder.mkdir(parents=True)
    _torch.save(build(_HIDDEN), folder)
    config: dict[str, Any] = {"hidden_size": _HIDDEN}
    example = {"image": [0.0] * 784}
    return own(
        discover()["digits"],
        Artifact("digits", "MNISTClassifier", "1", folder, config, example=example),
    )


def trained(folder: Path, *names: str) -> dict[str, Family]:
    """Return families, each with a model that was trained for a second or two."""
    found = {}
    for name in names:
        family = discover()[name]
        assert isinstance(family, TrainableFamily)
        made = train(family, folder / name, settings_for_tests(data_dir=folder))
        made.model.close()
        found[name] = own(family, made.artifact)
    return found
