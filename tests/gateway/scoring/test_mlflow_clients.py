"""MLflow's own clients, and its own answers: models registered with plain MLflow, asked both ways.

They are made in a process that knows nothing of Slipway, which also says what
`mlflow.pyfunc.load_model(…).predict` answers.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.utils.proto_json_utils import dump_input_data

from services.families import discover
from tests.conftest import settings_for_tests
from tests.gateway.test_own_models import as_a_user
from tests.support.local import LocalServer, serving
from tests.support.mlflow_server import MlflowServer
from tests.support.patience import PATIENCE

pytestmark = [
    pytest.mark.slow,
    # MLflow's own, of the pickles that the operator trusts here.
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

TABLES = ("classes", "amounts", "customers", "report")
TENSORS = ("plane", "network")
JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"

_MODELS = """
import json, pathlib
import torch
from mlflow.models import infer_signature
from mlflow.utils.proto_json_utils import NumpyEncoder, _get_jsonable_obj
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

folder = pathlib.Path(sys.argv[2])
draw = np.random.default_rng(0)
numbers = pd.DataFrame(draw.normal(size=(60, 3)), columns=["petal length", "width", "depth"])
numbers["count"] = draw.integers(0, 9, 60)
kinds = np.where(numbers["width"] > 0, "wide", "narrow")
sorter = LogisticRegression().fit(numbers, kinds)
register(mlflow.sklearn, sorter, "classes", signature=infer_signature(numbers, kinds))
line = LinearRegression().fit(numbers, numbers.sum(axis=1))
register(mlflow.sklearn, line, "amounts", signature=infer_signature(numbers, [1.0]))

people = pd.DataFrame({
    "age": np.arange(60.0),
    "income": [None if i % 7 == 0 else i * 1.5 for i in range(60)],
    "city": ["Bern", "Basel, \\"BS\\"", None] * 20,
    "member": [True, False] * 30,
})
labels = np.where(people["age"] > 30, 1, 0)
columns = ColumnTransformer([
    ("numbers", SimpleImputer(), ["age", "income"]),
    ("texts", OneHotEncoder(handle_unknown="ignore"), ["city"]),
])
mixed = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(people, labels)
register(mlflow.sklearn, mixed, "customers", signature=infer_signature(people, labels),
         skops_trusted_types=["numpy.dtype"])

class Report(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        out = model_input[["name", "amount"]].copy()
        out["year"] = model_input["day"].dt.year
        out["bytes"] = model_input["blob"].map(len)
        out["scaled"] = out["amount"] * (params or {}).get("factor", 1)
        return out

orders = pd.DataFrame({
    "name": ["a", "b"], "amount": [1.5, 2.5], "blob": [b"xyz", b""],
    "day": pd.to_datetime(["2024-05-01 12:30:00", "1999-12-31 00:00:00"]),
})
register(mlflow.pyfunc, None, "report", python_model=Report(),
         signature=infer_signature(orders, params={"factor": 1.0}))

points = draw.normal(size=(50, 3))
two = LinearRegression().fit(points, np.stack([points.sum(1), points[:, 0]], axis=1))
register(mlflow.sklearn, two, "plane", signature=infer_signature(points, two.predict(points)))
network = torch.nn.Linear(4, 2)
register(mlflow.pytorch, network, "network", serialization_format="pickle",
         signature=infer_signature(np.zeros((2, 4), np.float32), np.zeros((2, 2), np.float32)))

inputs = {
    "classes": numbers[:7], "amounts": numbers[:7], "customers": people[::5], "report": orders,
    "plane": points[:4], "network": draw.normal(size=(3, 4)).astype(np.float32),
}
for name, data in inputs.items():
    answer = mlflow.pyfunc.load_model(f"models:/{name}/1").predict(data)
    text = json.dumps(_get_jsonable_obj(answer), cls=NumpyEncoder)
    (folder / f"{name}.json").write_text(text)
    if isinstance(data, pd.DataFrame):
        data.to_parquet(folder / f"{name}.parquet")
    else:
        np.save(folder / f"{name}.npy", data)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("expected")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[LocalServer]:
    mlflow = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    try:
        as_a_user(_MODELS, tmp_path_factory.mktemp("user"), mlflow.uri, str(folder))
        settings = settings_for_tests(
            data_dir=tmp_path_factory.mktemp("data"),
            mlflow_tracking_uri=mlflow.uri,
            registry_poll_seconds=0.5,
            trusted_models=("network", "report"),
            default_model="customers",
        )
        found = {name: fam for name, fam in discover().items() if name in ("tabular", "pyfunc")}
        with serving(settings, found, ready=False) as server:
            for name in TABLES + TENSORS:
                server.wait_serving(name, "1", 120)
            yield server
    finally:
        mlflow.stop()


def expected(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text())


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{name}.parquet")


def in_json(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table as its owner has to write it for JSON and CSV: bytes as base64."""
    if "blob" not in frame:
        return frame
    import base64

    return frame.assign(blob=[base64.encodebytes(blob).decode() for blob in frame["blob"]])


def check(found: Any, wanted: Any) -> None:
    if isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            check(one, other)
    elif isinstance(wanted, dict):
        assert set(found) == set(wanted)
        for name, value in wanted.items():
            check(found[name], value)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    else:
        assert found == wanted


def bodies(frame: pd.DataFrame) -> dict[str, tuple[bytes | str, str]]:
    split = dump_input_data(in_json(frame))
    plain = json.loads(split)["dataframe_split"]
    names = plain["columns"]
    records = [dict(zip(names, row, strict=True)) for row in plain["data"]]
    packed = io.BytesIO()
    frame.to_parquet(packed)
    columns = {name: [record[name] for record in records] for name in names}
    return {
        "split": (split, JSON),
        "records": (json.dumps({"dataframe_records": records}), JSON),
        "instances": (json.dumps({"instances": records}), JSON),
        "inputs": (json.dumps({"inputs": columns}), JSON),
        "csv": (in_json(frame).to_csv(), CSV),
        "csv reversed": (in_json(frame)[names[::-1]].to_csv(index=False), CSV),
        "parquet": (packed.getvalue(), PARQUET),
        "one more column": (dump_input_data(in_json(frame).assign(extra="x")), JSON),
    }


@pytest.mark.parametrize("name", TABLES)
def test_every_form_of_a_table_gives_mlflows_own_answer(
    server: LocalServer, folder: Path, name: str
) -> None:
    wanted = expected(folder, name)
    frame = table(folder, name)
    if name == "report":
        # An empty cell is a missing one, so CSV has no word for bytes of length 0.
        frame, wanted = frame[:1], wanted[:1]
    for form, (content, kind) in bodies(frame).items():
        sent = content.encode() if isinstance(content, str) else content
        answer = server.client.post(
            f"/models/{name}/invocations", content=sent, headers={"Content-Type": kind}
        )
        assert answer.status_code == 200, (form, answer.text)
        check(answer.json()["predictions"], wanted)


@pytest.mark.parametrize("name", TENSORS)
def test_every_form_of_a_tensor_gives_mlflows_own_answer(
    server: LocalServer, folder: Path, name: str
) -> None:
    rows = np.load(folder / f"{name}.npy")
    frame = pd.DataFrame(rows).rename(columns=str)
    packed = io.BytesIO()
    frame.to_parquet(packed)
    for content, kind in (
        (dump_input_data(rows), JSON),
        (dump_input_data(rows, inputs_key="instances"), JSON),
        (dump_input_data(frame), JSON),
        (frame.to_csv(index=False), CSV),
        (packed.getvalue(), PARQUET),
    ):
        answer = server.client.post(
            f"/models/{name}/invocations", content=content, headers={"Content-Type": kind}
        )
        assert answer.status_code == 200, answer.text
        check(answer.json()["predictions"], expected(folder, name))


def client_for(server: LocalServer, name: str = "") -> Any:
    # Importing it warns of its own type hints, which only tests may ignore.
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    client = ScoringServerClient("127.0.0.1", server.port)  # type: ignore[no-untyped-call]
    client.url_prefix += f"/models/{name}" if name else ""
    return client


def test_the_scoring_client(server: LocalServer, folder: Path) -> None:
    client = client_for(server)
    client.wait_server_ready(timeout=PATIENCE)
    assert client.get_version().count(".") >= 2
    people = table(folder, "customers")
    assert people["income"].isna().any()
    found = client.invoke(people).get_predictions("ndarray")
    assert found.tolist() == expected(folder, "customers")
    for name in TABLES:
        answer = client_for(server, name).invoke(in_json(table(folder, name)))
        check(answer["predictions"], expected(folder, name))
        assert len(answer.get_predictions()) == len(table(folder, name))
    for name in TENSORS:
        answer = client_for(server, name).invoke(np.load(folder / f"{name}.npy"))
        check(answer.get_predictions("ndarray").tolist(), expected(folder, name))
    records = json.loads(people[:2].to_json(orient="records"))
    answer = client.invoke(records)
    assert answer["predictions"] == expected(folder, "customers")[:2]
    orders = in_json(table(folder, "report"))
    answer = client_for(server, "report").invoke(orders, params={"factor": 2.0})
    assert [row["scaled"] for row in answer["predictions"]] == [3.0, 5.0]


def test_the_scoring_client_shows_our_errors(server: LocalServer, folder: Path) -> None:
    people = table(folder, "customers").drop(columns=["member"])
    with pytest.raises(Exception, match=r"error code 422.*dataframe_split\.member is missing"):
        client_for(server).invoke(people)
    with pytest.raises(Exception, match=r"error code 404.*RESOURCE_DOES_NOT_EXIST"):
        client_for(server, "nobody").invoke(people)


def test_the_deployments_client(server: LocalServer, folder: Path) -> None:
    from mlflow.deployments import get_deploy_client

    url = f"http://127.0.0.1:{server.port}"
    client: Any = get_deploy_client(url)  # type: ignore[no-untyped-call]
    assert {one.name for one in client.list_endpoints()} == {*TABLES, *TENSORS}
    endpoint = client.get_endpoint("classes")
    assert endpoint.endpoint_url.endswith("/endpoints/classes/invocations")
    numbers = json.loads(dump_input_data(table(folder, "classes")))
    answer = client.predict(endpoint="classes", inputs=numbers)
    assert answer == {"predictions": expected(folder, "classes")}
    with pytest.raises(Exception, match="no model of that name"):
        client.get_endpoint("nobody")
    with pytest.raises(Exception, match="exactly one of dataframe_split"):
        client.predict(endpoint="classes", inputs={"messages": []})
