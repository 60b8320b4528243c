"""Models of the user's own, saved by plain MLflow and served by their signature alone."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from services.core.errors import InvalidInputError
from services.core.signature.parse import from_mlflow
from services.families.base import predict
from services.families.pyfunc.model import PyfuncModel
from tests.families.opened import opened, together


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """MLflow warns of itself and of its dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def saved(folder: Path, save: Callable[..., Any], model: Any, **more: Any) -> PyfuncModel:
    """Save with plain MLflow, and open what it wrote."""
    import mlflow.pyfunc
    from mlflow.models import Model

    path = folder / "model"
    # Without the list MLflow looks for it, for many seconds.
    save(model, path=str(path), pip_requirements=[], **more)
    native = mlflow.pyfunc.load_model(str(path))
    described = Model.load(str(path))
    signature = None if described.signature is None else from_mlflow(described.signature.to_dict())
    return opened(native, signature, folder=path)


def test_mixed_columns_with_texts_and_gaps(tmp_path: Path) -> None:
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    table = pd.DataFrame(
        {
            "age": np.arange(60),
            "income": [None if i % 7 == 0 else i * 1.5 for i in range(60)],
            "city": ["Bern", "Basel", None] * 20,
            "member": [True, False] * 30,
        }
    )
    labels = np.where(table["age"] > 30, "old", "young")
    columns = ColumnTransformer(
        transformers=[
            ("numbers", SimpleImputer(), ["age", "income", "member"]),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(table, labels)
    signature = infer_signature(table, labels)
    model = saved(tmp_path, mlflow.sklearn.save_model, pipeline, signature=signature,
                  serialization_format="cloudpickle")  # fmt: skip
    records: list[dict[str, Any]] = [
        {"age": 55, "income": 80, "city": "Bern", "member": True},
        {"age": 3, "member": False, "city": None},
        {"age": 50, "income": None, "city": "Nowhere", "member": True},
    ]
    output = predict(model, {"inputs": records})
    assert output == {"predictions": ["old", "young", "old"]}
    assert model.max_batch > 1 and model.repeatable
    payloads = [{"inputs": records[:1]}, {"inputs": records[1:]}, {"inputs": records}]
    assert together(model, payloads) == [predict(model, payload) for payload in payloads]
    with pytest.raises(InvalidInputError) as caught:
        model.preprocess({"inputs": [records[0], {**records[1], "age": "old"}]})
    assert caught.value.where == "inputs[1].age"


def test_several_outputs(tmp_path: Path) -> None:
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression

    points = np.random.default_rng(0).normal(size=(40, 3))
    targets = np.stack([points[:, 0], points @ [0, 1, 1]], axis=1)
    regression = LinearRegression().fit(points, targets)
    model = saved(tmp_path, mlflow.sklearn.save_model, regression,
                  signature=infer_signature(points, targets),
                  serialization_format="cloudpickle")  # fmt: skip
    output = predict(model, {"inputs": [[1, 2, 3], [4, 5, 6]]})
    assert np.allclose(output["predictions"], [[1, 5], [4, 11]])
    assert model.max_batch > 1


@pytest.mark.slow
@pytest.mark.parametrize("form", ["pt2", "pickle"])
def test_a_network_of_pytorch(tmp_path: Path, form: str) -> None:
    import mlflow.pytorch
    import torch
    from mlflow.models import infer_signature

    network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    rows = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(rows)).numpy()
    more: dict[str, Any] = {"input_example": rows} if form == "pt2" else {}
    model = saved(tmp_path, mlflow.pytorch.save_model, network, serialization_format=form,
                  signature=infer_signature(rows, expected), **more)  # fmt: skip
    output = predict(model, {"inputs": rows.tolist()})
    assert np.allclose(output["predictions"], expected, atol=1e-5)
    with pytest.raises(InvalidInputError) as caught:
        model.preprocess({"inputs": [[1, 2, 3, "4"]]})
    assert caught.value.where == "inputs[0][3]"


def test_a_python_model_with_params(tmp_path: Path) -> None:
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    class Repeat(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined,unused-ignore]
        # MLflow reads hints here as a signature.
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            return [text * params["times"] for text in model_input["text"]]

    table = pd.DataFrame({"text": ["a"]})
    signature = infer_signature(table, ["aa"], params={"times": 2})

    def save(model: Any, path: str, **more: Any) -> None:
        mlflow.pyfunc.save_model(path, python_model=model, **more)

    model = saved(tmp_path, save, Repeat(), signature=signature)
    body = {"inputs": [{"text": "ab"}]}
    assert predict(model, body) == {"predictions": ["abab"]}
    assert predict(model, {**body, "params": {"times": 3}}) == {"predictions": ["ababab"]}
    mixed = [body, {**body, "params": {"times": 1}}, {"inputs": {"text": ["x", "y"]}}]
    assert together(model, mixed) == [
        {"predictions": ["abab"]}, {"predictions": ["ab"]}, {"predictions": ["xx", "yy"]},
    ]  # fmt: skip
    keys = {model.cache_key(model.preprocess(payload)) for payload in mixed}
    assert len(keys) == 3 and None not in keys
    for params, where in (({"times": "3"}, "params.times"), ({"tims": 3}, "params.tims")):
        with pytest.raises(InvalidInputError) as caught:
            model.preprocess({**body, "params": params})
        assert caught.value.where == where


def test_without_a_signature(tmp_path: Path) -> None:
    import mlflow.pyfunc

    class Shape(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined,unused-ignore]
        # MLflow reads hints here as a signature.
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            return [type(model_input).__name__, len(model_input)]

    def save(model: Any, path: str, **more: Any) -> None:
        mlflow.pyfunc.save_model(path, python_model=model, **more)

    model = saved(tmp_path, save, Shape())
    assert model.signature is None and model.max_batch == 1
    for inputs, kind in [
        ([{"a": 1}, {"a": None}], "DataFrame"),
        ({"a": [1, 2]}, "DataFrame"),
        ([[1, 2], [3, 4.5]], "ndarray"),
        (["a", "b"], "list"),
        ([[1], [2, 3]], "list"),
    ]:
        assert predict(model, {"inputs": inputs}) == {"predictions": [kind, 2]}
    assert model.cache_key(model.preprocess({"inputs": ["a"]})) is None
