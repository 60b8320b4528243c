"""One MLflow server for all tests of this folder; each test has an experiment of its own."""

from tests.support.mlflow_server import mlflow_server

__all__ = ["mlflow_server"]
