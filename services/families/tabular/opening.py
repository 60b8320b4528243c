"""From files, or from what the registry opened, to a model."""

from typing import TYPE_CHECKING, Any

from services.core.errors import CheckpointError
from services.core.signature import Field, Signature
from services.core.skops_file import load
from services.families.base import Artifact, ModelInfo
from services.families.tabular.model import TabularModel
from services.families.tabular.predictor import steps_of
from services.families.tabular.training import FILE

if TYPE_CHECKING:
    from services.core.settings import Settings


def open_model(artifact: Artifact, settings: "Settings") -> TabularModel:
    """Open an estimator.

    Raises:
        CheckpointError: it cannot be read safely, cannot predict, or nothing says what goes in.
    """
    path = artifact.folder / FILE
    estimator = load(path) if artifact.native is None else artifact.native()
    if not hasattr(estimator, "predict"):
        raise CheckpointError(
            "The model cannot predict.", expected="a classifier or regressor of scikit-learn"
        )
    signature = artifact.signature
    if signature is None or not signature.inputs:
        signature = _guessed(estimator)
    classifier = hasattr(estimator, "classes_")
    info = ModelInfo(
        name=artifact.name,
        version=artifact.version,
        family=artifact.family,
        task="tabular-classification" if classifier else "tabular-regression",
        device="cpu",
        memory_bytes=path.stat().st_size if path.is_file() else 0,
        details={"estimator": [type(step).__name__ for step in steps_of(estimator)]},
    )
    return TabularModel(info, estimator, signature, settings.max_rows)


def _guessed(estimator: Any) -> Signature:
    """Say what an estimator without a signature takes, from what it remembers of its training."""
    width = getattr(estimator, "n_features_in_", None)
    if not isinstance(width, int) or width < 1:
        raise CheckpointError(
            "Nothing says what the model takes.", expected="a model logged with its signature"
        )
    names = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    if names:
        return Signature(tuple(Field(name, "double") for name in names))
    return Signature((Field(None, "double"),) * width)
