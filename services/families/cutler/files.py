"""Where a version's weights and configuration lie; nothing here imports torch."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from services.core.errors import CheckpointError, ConfigurationError
from services.families.base import Artifact

if TYPE_CHECKING:
    from services.core.settings import Settings

NAME = "cutler"
BUNDLED = Path(__file__).parent / "bundled"
WEIGHTS = "model.pth"
CONFIG = "config.yaml"


def builtin(settings: "Settings") -> Artifact:
    """Return the version that MODEL_PATH and CONFIG_PATH name, or else the bundled one.

    Raises:
        ConfigurationError: only one of the two is set.
        CheckpointError: there is no such weights file.
    """
    weights, config = settings.model_path, settings.config_path
    if (weights is None) != (config is None):
        raise ConfigurationError(
            "MODEL_PATH and CONFIG_PATH belong together, but only one of them is set.",
            where="CONFIG_PATH" if config is None else "MODEL_PATH",
            expected="both, or neither for the bundled model",
        )
    if weights is None or config is None:
        return Artifact(NAME, NAME, _version(BUNDLED / WEIGHTS), BUNDLED)
    names = {"weights": weights.name, "config": str(config.absolute())}
    return Artifact(NAME, NAME, _version(weights), weights.absolute().parent, names, pinned=True)


def paths(artifact: Artifact) -> tuple[Path, Path]:
    """Return the weights and the configuration of a version.

    Raises:
        CheckpointError: a version that the operator did not name reaches out of its folder.
    """
    found = [artifact.config.get("weights", WEIGHTS), artifact.config.get("config", CONFIG)]
    for name in found:
        plain = isinstance(name, str) and Path(name).name == name != ".."
        if not (artifact.pinned or plain):
            raise CheckpointError(
                "The model's configuration does not name its files.",
                where="config",
                expected="names of files in the model's own folder",
            )
    return artifact.folder / found[0], artifact.folder / found[1]


def _version(weights: Path) -> str:
    """The first 12 digits of the weights' SHA-256: what was served can always be told."""
    try:
        with weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except OSError as error:
        raise CheckpointError(
            f"The weights file {weights.name!r} cannot be read: {error.strerror}.",
            where="MODEL_PATH",
            expected="a readable .pth or .pkl file",
        ) from error
