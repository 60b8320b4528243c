"""What counts as a whole answer."""

import math
from typing import Any

import pytest

from services.core.signature import Field, Signature
from services.rollout.answers import faults

NUMBER = Signature((), (Field(None, "double"),))
TENSOR = Signature((), (Field(None, "tensor", dtype="int64", shape=(-1,)),))
TWO = Signature((), (Field("price", "double"), Field("grade", "string", required=False)))


@pytest.mark.parametrize(
    ("output", "signature"),
    [
        ({"prediction": 1, "probability": [0.25, 0.75]}, None),
        ({"predictions": [1.5]}, NUMBER),
        ({"predictions": [{"price": 1, "grade": None}]}, TWO),
        ({"predictions": [[0.1, 0.9]]}, NUMBER),
    ],
)
def test_whole(output: Any, signature: Signature | None) -> None:
    assert list(faults(output, signature)) == []


@pytest.mark.parametrize(
    ("output", "signature", "word"),
    [
        ({}, None, "empty"),
        ({"prediction": math.nan}, None, "prediction is not a finite number"),
        ({"predictions": [{"a": [1.0, math.inf]}]}, None, "predictions[0].a[1]"),
        ({"predictions": []}, NUMBER, "no row"),
        ({"predictions": ["high"]}, NUMBER, "no number"),
        ({"predictions": [None]}, NUMBER, "no value"),
        ({"predictions": [True]}, NUMBER, "no number"),
        ({"predictions": ["x"]}, TENSOR, "no number"),
        ({"predictions": [{"price": 1.0}]}, TWO, "grade"),
        ({"predictions": [{"price": 1.0, "grade": 3}]}, TWO, "grade is no text"),
        ({"predictions": [1]}, Signature((), (Field(None, "boolean"),)), "true nor false"),
    ],
)
def test_not_whole(output: Any, signature: Signature | None, word: str) -> None:
    assert word in "; ".join(faults(output, signature))
