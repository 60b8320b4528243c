"""Every demo model, trained small, asked by Triton's client as its metadata says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton

from services.core.settings import Settings
from services.families import discover
from services.families.base import Artifact, Model, TrainableFamily
from tests.conftest import settings_for_tests
from tests.families.small import train
from tests.gateway.oip.conftest import Ready
from tests.gateway.oip.test_triton_client import tensor, texts
from tests.support.local import LocalServer, serving
from tests.support.pictures import blobs_as

pytestmark = pytest.mark.slow

# Model, its inputs, a payload of two rows, and its outputs.
CASES: dict[str, tuple[Any, Any, Any]] = {
    "tabular": (
        [("inputs", "FP64", [-1, 20])],
        np.zeros((2, 20)),
        {"predictions": ("INT64", [-1]), "probabilities": ("FP64", [-1, 2])},
    ),
    "digits": (
        [("image", "FP32", [-1, 784])],
        np.zeros((2, 784), np.float32),
        {"predictions": ("INT64", [-1]), "probabilities": ("FP64", [-1, 10])},
    ),
    "sentiment": (
        [("text", "BYTES", [-1])],
        texts("A wonderful film.", "Grässlich."),
        {"predictions": ("BYTES", [-1]), "probabilities": ("FP64", [-1, 2])},
    ),
    "shapes": (
        [("image", "BYTES", [-1])],
        np.array([blobs_as("PNG"), blobs_as("WEBP")], object),
        {"class": ("BYTES", [-1]), "confidence": ("FP64", [-1]),
         "probabilities": ("FP64", [-1, 12])},
    ),
}  # fmt: skip


def _ready(family: TrainableFamily, folder: Path, settings: Settings) -> Any:
    made = train(family, folder, settings)

    class Made(Ready):
        takes = family.takes

        def builtin(self, settings: Settings) -> Artifact:
            return made.artifact

    def make(artifact: Artifact, settings: Settings) -> Model:
        return family.open(artifact, settings)

    return made.artifact.name, Made(family.name, make)


@pytest.fixture(scope="module")
def models() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, models: dict[str, str]) -> Iterator[LocalServer]:
    found, families = discover(), {}
    settings = settings_for_tests(data_dir=tmp_path_factory.mktemp("data"))
    for name in CASES:
        family = found[name]
        assert isinstance(family, TrainableFamily)
        folder = tmp_path_factory.mktemp(name) / "model"
        models[name], families[name] = _ready(family, folder, settings)
    families["cutler"] = found["cutler"]
    models["cutler"] = "cutler"
    with serving(settings, families) as server:
        yield server


@pytest.fixture(scope="module")
def client(demo: LocalServer) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{demo.port}", network_timeout=60) as client:
        yield client


def described(tensors: Any) -> list[Any]:
    return [(one["name"], one["datatype"], one["shape"]) for one in tensors]


@pytest.mark.parametrize("name", CASES)
def test_a_demo_model(client: Any, models: dict[str, str], name: str) -> None:
    inputs, rows, outputs = CASES[name]
    metadata = client.get_model_metadata(models[name])
    assert described(metadata["inputs"]) == inputs
    assert described(metadata["outputs"]) == [(n, *form) for n, form in outputs.items()]
    for binary in (True, False) if inputs[0][0] != "image" or name == "digits" else (True,):
        asked = [tensor(inputs[0][0], rows, binary=binary)]
        result = client.infer(models[name], asked)
        assert [one["name"] for one in result.get_response()["outputs"]] == list(outputs)
        for one, (_, shape) in outputs.items():
            assert list(result.as_numpy(one).shape) == [2, *shape[1:]]


def test_digits_in_rows_of_rows(client: Any, models: dict[str, str]) -> None:
    pixels = np.zeros((3, 28, 28), np.uint8)
    pixels[:, 4:24, 12:16] = 255
    for shape in ([3, 28, 28], [3, 1, 28, 28], [3, 784]):
        result = client.infer(models["digits"], [tensor("input", pixels.reshape(shape))])
        assert result.as_numpy("predictions").shape == (3,)
    pixels = pixels.astype(np.int16)
    pixels[1, 2, 3] = 300
    with pytest.raises(triton.InferenceServerException, match=r"inputs\[0\]\.data\[1\]"):
        client.infer(models["digits"], [tensor("input", pixels)])


def test_texts_as_a_column(client: Any, models: dict[str, str]) -> None:
    result = client.infer(models["sentiment"], [tensor("reviews", texts("Good.").reshape(1, 1))])
    assert result.as_numpy("predictions").shape == (1,)
    with pytest.raises(triton.InferenceServerException, match=r"inputs\[0\]\.data\[0\]"):
        client.infer(models["sentiment"], [tensor("text", np.zeros(1))])
    with pytest.raises(triton.InferenceServerException, match="no text"):
        client.infer(models["sentiment"], [tensor("text", texts(b"\xff"))])


def test_objects_in_a_picture(client: Any, models: dict[str, str]) -> None:
    asked = [tensor("image", np.array([blobs_as("PNG")], object))]
    result = client.infer(models["cutler"], asked)
    found = described(client.get_model_metadata(models["cutler"])["outputs"])
    names = [one["name"] for one in result.get_response()["outputs"]]
    assert names == ["num_instances", "instances", "image_size"]
    assert [name for name, *_ in found] == names
