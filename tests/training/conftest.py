"""What the tests of training share: an empty MLflow of their own, made once and copied."""

from tests.training.store import mlflow_template, mlflow_uri

__all__ = ["mlflow_template", "mlflow_uri"]
