"""Models of the user's own: registered with plain MLflow on a real server, served with no code.

They are made in a process that knows nothing of Slipway, as a user would.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.families import discover
from tests.conftest import settings_for_tests
from tests.support.local import LocalServer, serving
from tests.support.mlflow_server import MlflowServer
from tests.support.patience import PATIENCE

pytestmark = [
    pytest.mark.slow,
    # MLflow's own, of the pickle that the operator trusts here.
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

_COMMON = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow, numpy as np, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])

def register(flavor, model, name, **more):
    # Without the list MLflow looks for it, for many seconds.
    flavor.log_model(model, name="model", registered_model_name=name, pip_requirements=[], **more)
    mlflow.MlflowClient().set_registered_model_alias(name, "production", 1)
"""

_ODD_ONES = """
import torch
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

table = pd.DataFrame({
    "age": np.arange(60.0),
    "income": [None if i % 7 == 0 else i * 1.5 for i in range(60)],
    "city": ["Bern", "Basel", None] * 20,
    "member": [True, False] * 30,
})
labels = np.where(table["age"] > 30, "old", "young")
columns = ColumnTransformer([
    ("numbers", SimpleImputer(), ["age", "income"]),
    ("texts", OneHotEncoder(handle_unknown="ignore"), ["city"]),
])
mixed = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(table, labels)
# MLflow itself asks for this list when it saves text columns; Slipway goes by its own.
register(mlflow.sklearn, mixed, "customers", signature=infer_signature(table, labels),
         skops_trusted_types=["numpy.dtype"])

points = np.random.default_rng(0).normal(size=(50, 3))
two = LinearRegression().fit(points, np.stack([points.sum(1), points[:, 0]], axis=1))
register(mlflow.sklearn, two, "plane", input_example=points[:2])

network = torch.nn.Linear(4, 2)
with torch.no_grad():
    network.weight.fill_(1.0)
    network.bias.copy_(torch.tensor([0.0, 10.0]))
register(mlflow.pytorch, network, "network", serialization_format="pickle",
         signature=infer_signature(np.zeros((2, 4), np.float32), np.zeros((2, 2), np.float32)))
"""

_HOSTILE = """
import pathlib
canary = pathlib.Path(sys.argv[2])

class Evil:
    def fit(self, x, y=None): return self
    def predict(self, x): return np.zeros(len(x))
    def __reduce__(self):
        return (exec, (f"open({str(canary)!r}, 'w').close()",))

mlflow.sklearn.log_model(Evil(), name="model", registered_model_name="evil_pickle",
                         serialization_format="pickle", pip_requirements=[])

folder = canary.parent / "code"
folder.mkdir()
(folder / "evil_loader.py").write_text(
    f"open({str(canary)!r}, 'w').close()\\ndef _load_pyfunc(path): raise SystemExit\\n")
(canary.parent / "empty").mkdir()
mlflow.pyfunc.log_model(name="model", loader_module="evil_loader",
                        code_paths=[str(folder / "evil_loader.py")],
                        data_path=str(canary.parent / "empty"),
                        registered_model_name="evil_loader",
                        pip_requirements=[])
canary.unlink(missing_ok=True)  # MLflow itself may have run it, in here
for name in ("evil_pickle", "evil_loader"):
    mlflow.MlflowClient().set_registered_model_alias(name, "production", 1)
"""


def as_a_user(code: str, folder: Path, *arguments: str) -> None:
    """Run a script of the user's in a folder of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", _COMMON + code, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(mlflow: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A gateway whose operator trusts one of the models."""
    found = {name: family for name, family in discover().items() if name in ("tabular", "pyfunc")}
    settings = settings_for_tests(
        data_dir=tmp_path_factory.mktemp("data"),
        mlflow_tracking_uri=mlflow.uri,
        registry_poll_seconds=0.5,
        trusted_models=("network",),
    )
    as_a_user(_ODD_ONES, tmp_path_factory.mktemp("user"), mlflow.uri)
    with serving(settings, found, ready=False) as server:
        for name in ("customers", "plane", "network"):
            server.wait_serving(name, "1", 120)
        yield server


@pytest.fixture
def client(server: LocalServer) -> httpx.Client:
    return server.client


def test_mixed_columns_with_texts_and_gaps(client: httpx.Client) -> None:
    records: list[dict[str, object]] = [
        {"age": 55, "income": 80, "city": "Bern", "member": True},
        {"age": 3, "member": False, "city": None},
        {"age": 50, "income": None, "city": "Nowhere", "member": True},
    ]
    answer = client.post("/models/customers/predict", json={"inputs": records})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["predictions"] == ["old", "young", "old"]
    assert body["classes"] == ["old", "young"]
    assert [round(sum(row), 6) for row in body["probabilities"]] == [1, 1, 1]
    wrong = client.post("/models/customers/predict", json={"inputs": [{**records[0], "age": "x"}]})
    assert wrong.status_code == 422
    assert wrong.json()["error"]["where"] == "inputs[0].age"
    short = client.post("/models/customers/predict", json={"inputs": [{"age": 1, "city": "Bern"}]})
    assert short.status_code == 422
    assert "member" in short.text


def test_two_numbers_out_of_three(client: httpx.Client) -> None:
    answer = client.post("/models/plane/predict", json={"inputs": [[1, 2, 3], [0, 0, 1]]})
    assert answer.status_code == 200, answer.text
    predictions = answer.json()["predictions"]
    assert [[round(value, 6) for value in row] for row in predictions] == [[6, 1], [1, 0]]
    ragged = client.post("/models/plane/predict", json={"inputs": [[1, 2, 3], [0, 0]]})
    assert ragged.status_code == 422
    assert "inputs[1]" in ragged.text


def test_a_network(client: httpx.Client) -> None:
    answer = client.post("/models/network/predict", json={"inputs": [[1, 2, 3, 4]]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == [[10.0, 20.0]]
    for rows in ([[1, 2, 3]], [["a", 2, 3, 4]], [1, 2, 3, 4]):
        assert client.post("/models/network/predict", json={"inputs": rows}).status_code == 422


def test_a_hostile_model_is_never_run(
    server: LocalServer, mlflow: MlflowServer, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    as_a_user(_HOSTILE, tmp_path, mlflow.uri, str(canary))
    assert not canary.exists()
    for name in ("evil_pickle", "evil_loader"):
        server._wait(lambda name=name: server.model(name)["failure"] is not None, PATIENCE)
        assert "TRUSTED_MODELS" in str(server.model(name)["failure"])
        assert (
            server.client.post(f"/models/{name}/predict", json={"inputs": [[1]]}).status_code == 503
        )
    assert server.client.get("/health").json()["status"] == "degraded"
    assert not canary.exists()
