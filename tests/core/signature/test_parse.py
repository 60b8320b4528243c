"""Signatures are read as MLflow writes them, and written so that MLflow reads the same."""

import datetime as dt
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from services.core.errors import CheckpointError
from services.core.signature import Field
from services.core.signature.parse import from_mlflow, to_mlflow


def _mlflow_signatures() -> list[Any]:
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types.schema import (
        AnyType,
        Array,
        ColSpec,
        Map,
        Object,
        ParamSchema,
        ParamSpec,
        Property,
        Schema,
        SparkMLVector,
        TensorSpec,
    )

    structures = Schema(
        [
            ColSpec("long", "a"),
            ColSpec("string", "b", required=False),
            ColSpec("datetime", "d"),
            ColSpec(Array("double"), "e"),
            ColSpec(Object([Property("x", "double"), Property("y", "string", False)]), "o"),
            ColSpec(Map(Array(Object([Property("x", "double")]))), "m"),
            ColSpec(AnyType(), "z"),  # type: ignore[no-untyped-call]
            ColSpec("binary", "bin"),
            ColSpec(SparkMLVector(), "v"),  # type: ignore[no-untyped-call]
        ]
    )
    params = ParamSchema(
        [
            ParamSpec("k", "integer", 3),
            ParamSpec("t", "double", [1.0, 2.0], (-1,)),
            ParamSpec("when", "datetime", dt.datetime(2024, 1, 1)),  # noqa: DTZ001
            ParamSpec("s", "string", None),
            ParamSpec("o", Object([Property("x", "double")]), {"x": 1.0}),
        ]
    )
    tensors = Schema([TensorSpec(np.dtype("float32"), (-1, 3))])
    return [
        ModelSignature(structures, tensors, params),
        infer_signature({"a": np.zeros((3, 4)), "b": np.zeros(3, np.uint8)}, np.array(["x"])),
        infer_signature(pd.DataFrame([[1.0, 2.0]]), np.zeros(3)),
        infer_signature(["a", "b"], "x"),
        ModelSignature(Schema([ColSpec("double"), ColSpec("long")])),
    ]


@pytest.mark.parametrize("index", range(5))
def test_there_and_back(index: int) -> None:
    from mlflow.models import ModelSignature

    signature = _mlflow_signatures()[index]
    ours = from_mlflow(signature.to_dict())
    assert ModelSignature.from_dict(to_mlflow(ours)) == signature
    assert from_mlflow(to_mlflow(ours)) == ours


def test_columns_of_an_array_keep_their_numbers() -> None:
    field = from_mlflow({"inputs": '[{"type": "double", "name": 0}]'}).inputs[0]
    assert (field.name, field.label) == ("0", 0)


def test_lists_and_the_old_word_for_required_are_taken() -> None:
    found = from_mlflow({"inputs": [{"type": "double", "name": "a", "optional": True}]})
    assert found.inputs == (Field("a", "double", required=False),)
    assert not found.outputs and not found.params


@pytest.mark.parametrize(
    "inputs",
    [
        "[",
        "3",
        "{}x",
        '[{"type": "quaternion"}]',
        '[{"name": "a"}]',
        '[{"type": "double", "name": "a"}, {"type": "long", "name": "a"}]',
        '[{"type": "double", "name": "a"}, {"type": "long"}]',
        '[{"type": "array", "name": "a"}]',
        '[{"type": "array", "items": {"type": "quaternion"}}]',
        '[{"type": "object", "properties": 3}]',
        '[{"type": "tensor"}]',
        '[{"type": "tensor", "tensor-spec": {"dtype": "bfloat17", "shape": [-1]}}]',
        '[{"type": "tensor", "tensor-spec": {"dtype": "int8", "shape": []}}]',
        json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "int8", "shape": [-1]}}] * 2),
        '[{"type": "array", "items": ' * 100 + '{"type": "any"}' + "}]" * 100,
        "[" * 100_000,
    ],
)
def test_anything_else_is_refused(inputs: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        from_mlflow({"inputs": inputs})
    assert caught.value.where == "signature.inputs"
