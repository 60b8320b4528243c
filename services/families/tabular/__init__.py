"""Tables: classifiers and regressors of scikit-learn, trained here or anywhere else."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.families.base import (
    Artifact,
    Fitted,
    Gates,
    Model,
    Parameter,
    Report,
    Split,
    TrainableFamily,
)

if TYPE_CHECKING:
    from services.core.settings import Settings


class TabularFamily(TrainableFamily):
    """Serves scikit-learn estimators of any signature; trains classifiers."""

    name = "tabular"
    task = "tabular-classification"
    model_name = "ml_classifier"
    field = "features"
    experiment = "tabular-classification"
    cost = 1.0
    gates = Gates(metric="accuracy", latency=0.1)
    parameters = (
        Parameter(
            "model", "logistic", "what to fit", choices=("logistic", "forest", "boosting")
        ),
        Parameter(
            "regularisation", 1.0, "how strongly large weights are held back (not in a forest)",
            low=1e-3, high=1e3, log=True,
        ),
        Parameter("n_estimators", 100, "trees of forest, boosting", low=5, high=500, log=True),
        Parameter("max_depth", 10, "deepest tree; 0: no limit", low=0, high=32),
        Parameter("learning_rate", 0.1, "of boosting", low=0.01, high=1.0, log=True),
        Parameter("target", "", "column to predict; else `label`, else the last", tune=False),
        Parameter("rows", 4000, "size of the generated table", low=100, high=200_000, tune=False),
    )  # fmt: skip

    def open(self, artifact: Artifact, settings: "Settings") -> Model:
        """Bring an estimator into memory: saved by this family, or opened by the registry.

        Raises:
            CheckpointError: the file is not there, unsafe, or nothing says what goes in.
        """
        from services.families.tabular.opening import open_model

        return open_model(artifact, settings)

    def read(self, source: Path | None, params: Mapping[str, Any]) -> Split:
        """Read a CSV file, or generate a table of 20 numbers a row."""
        from services.families.tabular.data import from_csv, generated

        return generated(params["rows"]) if source is None else from_csv(source, params["target"])

    def fit(self, split: Split, params: Mapping[str, Any], seed: int, report: Report) -> Fitted:
        """Fit a classifier and what comes before it."""
        from services.families.tabular.training import fit

        return fit(split, params, seed, report)

    def evaluate(self, model: Model, held_out: Any) -> dict[str, float]:
        """Return accuracy, f1 (macro), and for probabilities auc and likelihood."""
        from services.families.tabular.training import evaluate

        return evaluate(model, held_out)


FAMILY = TabularFamily()
