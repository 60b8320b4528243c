"""One gateway with models of every kind that a signature can describe."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from services.core.settings import Settings
from services.core.signature import Field, Param, Signature
from services.families.base import Artifact, Family, Model, ModelInfo
from services.families.pyfunc.model import PyfuncModel
from services.families.tabular.model import TabularModel
from tests.conftest import settings_for_tests
from tests.families.opened import Native
from tests.gateway.families import AdderFamily, ColourFamily
from tests.support.blobs import BlobFamily
from tests.support.local import LocalServer, serving

NUMBERS = Signature(tuple(Field(f"feature_{n}", "double") for n in range(1, 21)))
CUSTOMERS = Signature(
    (
        Field("age", "double"),
        Field("income", "double", required=False),
        Field("city", "string"),
        Field("visits", "long"),
    )
)
Make = Callable[[Artifact, Settings], Model]


class Ready(Family):
    """A family with one model that is made on the spot."""

    task = "test"

    def __init__(self, name: str, make: Make, example: Any = None) -> None:
        self.name = self.model_name = name  # type: ignore[misc]
        self._make = make
        self._example = example

    def builtin(self, settings: Settings) -> Artifact:
        return Artifact(self.name, self.name, "1", Path("nowhere"), example=self._example)

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        return self._make(artifact, settings)


def tabular(estimator: Any, signature: Signature) -> Make:
    def make(artifact: Artifact, settings: Settings) -> Model:
        info = ModelInfo(artifact.name, "1", artifact.family, "classification", "cpu", 64)
        return TabularModel(info, estimator, signature, settings.max_rows)

    return make


def pyfunc(answer: Callable[..., Any], signature: Signature | None) -> Make:
    def make(artifact: Artifact, settings: Settings) -> Model:
        given = Artifact(
            artifact.family, artifact.name, "1", Path("nowhere"), signature=signature,
            example=artifact.example,
        )  # fmt: skip
        return PyfuncModel(given, Native(answer), settings.max_rows)

    return make


def _numbers() -> Make:
    from sklearn.linear_model import LogisticRegression

    rows = np.random.default_rng(0).normal(size=(100, 20))
    return tabular(LogisticRegression().fit(rows, (rows[:, 0] > 0).astype(int)), NUMBERS)


def _customers() -> Make:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    table = pd.DataFrame(
        {
            "age": np.arange(60.0),
            "income": [np.nan, 2.5, 4.0] * 20,
            "city": ["Bern", "Basel"] * 30,
            "visits": [1, 2, 3, 4] * 15,
        }
    )
    columns = ColumnTransformer(
        [
            ("numbers", SimpleImputer(), ["age", "income", "visits"]),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    labels = np.where(table["age"] > 30, "old", "young")
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=2000)).fit(table, labels)
    return tabular(pipeline, CUSTOMERS)


def _tensor(name: str | None, dtype: str, *shape: int) -> Field:
    return Field(name, "tensor", dtype=dtype, shape=shape)


def _late(rows: Any) -> Any:
    time.sleep(0.1)
    return rows


def _families() -> dict[str, Family]:
    pair = Signature((_tensor("a", "float32", -1, 2), _tensor("b", "int64", -1)))
    scaled = Signature((Field("x", "double"),), params=(Param("factor", "double", 1.0),))
    things = Signature((Field("thing", "object", detail={
        "type": "object", "properties": {"size": {"type": "long"}, "name": {"type": "string"}},
    }), Field("raw", "binary"), Field("list", "array", detail={
        "type": "array", "items": {"type": "double"},
    })))  # fmt: skip
    found: list[Family] = [
        Ready("numbers", _numbers(), {"features": [0.5] * 20}),
        Ready("customers", _customers()),
        Ready("plane", pyfunc(lambda x: x.sum(axis=(1, 2)), Signature(
            (_tensor(None, "float32", -1, 2, 3),)
        ))),
        Ready("pair", pyfunc(lambda x: {"sum": x["a"].sum(axis=1) + x["b"], "b": x["b"]}, pair)),
        Ready("wide", pyfunc(lambda x: x, Signature((_tensor(None, "uint64", -1),)))),
        Ready("scaled", pyfunc(
            lambda x, params=None: (x["x"] * (params or {}).get("factor", 1.0)).to_numpy(), scaled
        )),
        Ready("things", pyfunc(lambda x: [
            {"size": thing["size"], "name": thing["name"], "raw": raw.hex(), "total": sum(values)}
            for thing, raw, values in zip(x["thing"], x["raw"], x["list"], strict=True)
        ], things)),
        Ready("anything", pyfunc(lambda x: np.asarray(x) * 2, None), {"inputs": [[1.0]]}),
        Ready("odd", pyfunc(lambda x: [[1], [2, 3], "text", None][: len(x)], Signature(
            (Field(None, "double"),)
        ))),
        Ready("sleepy", pyfunc(_late, Signature((Field("x", "double"),)))),
        AdderFamily(), ColourFamily(), BlobFamily(),
    ]  # fmt: skip
    return {family.name: family for family in found}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    settings = settings_for_tests(data_dir=tmp_path_factory.mktemp("data"), max_rows=2000)
    with serving(settings, _families()) as server:
        yield server


@pytest.fixture(scope="session")
def infer(server: LocalServer) -> Callable[..., Any]:
    """Ask a model with tensors as (name, datatype, shape, data); give what it answers."""

    def ask(model: str, *tensors: tuple[Any, ...], **more: Any) -> Any:
        keys = ("name", "datatype", "shape", "data", "parameters")
        inputs = [dict(zip(keys, tensor, strict=False)) for tensor in tensors]
        return server.client.post(f"/v2/models/{model}/infer", json={"inputs": inputs, **more})

    return ask
