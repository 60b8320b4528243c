"""LitServe: `litserve_app.py PORT`; MODEL names the file, BATCH=1 asks for batches."""

import os
import sys
from typing import Any

import joblib  # type: ignore[import-untyped]
import litserve
import numpy as np


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    """One row in, class and probabilities out."""

    def setup(self, device: str) -> None:
        """Open the model."""
        self.model = joblib.load(os.environ["MODEL"])

    def decode_request(self, request: dict[str, Any]) -> Any:
        """Return a row."""
        return np.array(request["features"], np.float64)

    def predict(self, x: Any) -> Any:
        """Return probabilities: of one row, or of a batch."""
        rows = np.asarray(x)
        return self.model.predict_proba(rows if rows.ndim == 2 else rows[None])

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Return one answer."""
        row = np.asarray(output).reshape(-1)
        return {
            "prediction": self.model.classes_[row.argmax()].item(),
            "probability": row.tolist(),
        }


if __name__ == "__main__":
    batches: dict[str, Any] = (
        {"max_batch_size": 64, "batch_timeout": 0.005} if os.environ.get("BATCH") else {}
    )
    server = litserve.LitServer(
        Classifier(**batches), accelerator="cpu", devices=1, workers_per_device=1
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )
