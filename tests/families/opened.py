"""Opens models as the family `pyfunc` does, for its tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.core.settings import load_settings
from services.core.signature import Signature
from services.families.base import Artifact
from services.families.pyfunc import FAMILY
from services.families.pyfunc.model import PyfuncModel

SETTINGS = load_settings(max_rows=100)


def opened(
    native: Any, signature: Signature | None, example: Any = None, folder: Path = Path("nowhere")
) -> PyfuncModel:
    artifact = Artifact(
        "pyfunc", "m", "1", folder, signature=signature, example=example, native=lambda: native
    )
    model = FAMILY.open(artifact, SETTINGS)
    assert isinstance(model, PyfuncModel)
    model.warm()
    return model


def together(model: PyfuncModel, payloads: list[Any]) -> list[Any]:
    prepared = [model.preprocess(payload) for payload in payloads]
    raws = model.infer(prepared)
    return [model.postprocess(*pair) for pair in zip(prepared, raws, strict=True)]


class Native:
    """Stands for a model of MLflow; `answer` is what it does."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.answer = answer
        self.calls: list[Any] = []

    def predict(self, data: Any, params: Any = None) -> Any:
        self.calls.append(data)
        return self.answer(data) if params is None else self.answer(data, params)
