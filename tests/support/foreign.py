"""Models for the doors of other servers: each answers what reached it, value by value."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.core.settings import Settings
from services.core.signature import Field, Signature
from services.core.signature.types import Param
from services.families.base import Artifact, Family, Model
from services.families.pyfunc.model import PyfuncModel
from tests.conftest import settings_for_tests
from tests.gateway.families import AdderFamily, ColourFamily
from tests.support.local import LocalServer, serving

_TEXTS = {"type": "array", "items": {"type": "string"}}
_POINT = {
    "type": "object",
    "properties": {"x": {"type": "double"}, "y": {"type": "double", "required": False}},
}
MIXED = Signature(
    (
        Field("age", "double"),
        Field("count", "long"),
        Field("name", "string"),
        Field("member", "boolean"),
        Field("income", "double", required=False),
        Field("born", "datetime", required=False),
        Field("blob", "binary", required=False),
        Field("tags", "array", required=False, detail=_TEXTS),
        Field("point", "object", required=False, detail=_POINT),
    )
)
SIGNATURES: dict[str, Signature | None] = {
    "mixed": MIXED,
    "pairs": Signature((Field(None, "double"), Field(None, "long"))),
    "text": Signature((Field("text", "string"),)),
    "pictures": Signature((Field(None, "tensor", dtype="float32", shape=(-1, 2, 2)),)),
    "named": Signature(
        (
            Field("a", "tensor", dtype="float64", shape=(-1, 2, 2)),
            Field("b", "tensor", dtype="int64", shape=(-1,)),
        )
    ),
    "params": Signature(
        (Field("x", "double"),), params=(Param("times", "long", 1), Param("label", "string", "a"))
    ),
    "plain": None,
}


class Native:
    """Stands for what `mlflow.pyfunc.load_model` returns."""

    def predict(self, data: Any, params: Any = None) -> Any:
        rows = shown(data)
        return rows if params is None else [[*row, shown(params)] for row in rows]


def shown(value: Any) -> Any:
    """Return a value as JSON that tells apart what is equal to NumPy: types and missing values."""
    if hasattr(value, "iloc"):
        names = list(value.columns)
        rows = zip(*(value[name].tolist() for name in names), strict=True)
        return [[[str(n), shown(v)] for n, v in zip(names, row, strict=True)] for row in rows]
    if isinstance(value, np.ndarray):
        return [f"{value.dtype}", value.tolist()] if value.ndim == 1 else list(map(shown, value))
    if isinstance(value, dict):
        parts = {name: shown(item) for name, item in sorted(value.items())}
        return [[name, part] for name, part in parts.items()]
    if isinstance(value, list):
        return [shown(item) for item in value]
    return f"{type(value).__name__} {value}"


class EchoFamily(Family):
    """Comes with one version of one model."""

    task = "any"

    def __init__(self, name: str, signature: Signature | None) -> None:
        self.name = self.model_name = name  # type: ignore[misc]
        self.signature = signature

    def builtin(self, settings: Settings) -> Artifact:
        return Artifact(self.name, self.name, "1", Path("nowhere"), signature=self.signature)

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        return PyfuncModel(artifact, Native(), settings.max_rows)


def echoes(*names: str) -> dict[str, Family]:
    """Return the families of the models that are named; of all, and of pictures, without names."""
    found: dict[str, Family] = {name: EchoFamily(name, SIGNATURES[name]) for name in SIGNATURES}
    found["colours"] = ColourFamily()
    found["adder"] = AdderFamily()
    return {name: found[name] for name in names or found}


@pytest.fixture(scope="session")
def echo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A gateway in front of them all, with few rows allowed."""
    data = tmp_path_factory.mktemp("data")
    settings = settings_for_tests(
        data_dir=data, max_rows=100, max_file_size=200_000, default_model="mixed"
    )
    with serving(settings, echoes()) as server:
        yield server
