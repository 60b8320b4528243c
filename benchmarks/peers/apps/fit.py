"""Fit the benchmark's model in this environment: `fit.py DATA.npz MODEL.joblib [MLFLOW_FOLDER]`.

The same pipeline as the tabular family fits. Every environment does it for itself, because a file
of one scikit-learn is not for another; the answers are compared before anything is measured.
"""

import sys

import joblib  # type: ignore[import-untyped]
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main() -> None:
    """Fit and save."""
    data = np.load(sys.argv[1])
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
    pipeline.fit(data["rows"], data["labels"])
    joblib.dump(pipeline, sys.argv[2])
    if len(sys.argv) > 3:
        import mlflow.sklearn

        # Its default would give the class alone; of probabilities the class is the largest.
        mlflow.sklearn.save_model(
            pipeline,
            sys.argv[3],
            serialization_format="cloudpickle",
            pyfunc_predict_fn="predict_proba",
            pip_requirements=[],
        )


if __name__ == "__main__":
    main()
