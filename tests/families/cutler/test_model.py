"""The family as it serves: the bundled model finds objects, and bad settings are told apart."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from pycocotools import mask as coco

from services.core.errors import CheckpointError, ConfigurationError, InvalidInputError
from services.core.settings import Settings
from services.families.base import Artifact, Picture, predict
from services.families.cutler import FAMILY
from services.families.cutler.config import load_config
from services.families.cutler.engines import NativeEngine
from services.families.cutler.files import BUNDLED
from services.families.cutler.imaging import resized_shape
from services.families.cutler.model import CutlerModel, load_model
from services.families.cutler.optimise import fast_preset
from services.families.cutler.saving import fitted
from services.families.cutler.schema import Segmentation, SegmentationInput
from services.training.segmenter.evaluate import evaluate_coins
from services.training.segmenter.report import MARKS, predictor


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("data")
    return Settings(_env_file=None, data_dir=folder, cutler_device="cpu", cutler_precision="fp32")


@pytest.fixture(scope="module")
def model(settings: Settings) -> Iterator[CutlerModel]:
    loaded = load_model(settings)
    yield loaded
    loaded.close()


def _png(picture: np.ndarray) -> bytes:
    done, data = cv2.imencode(".png", picture)
    assert done
    return data.tobytes()


def _segment(model: CutlerModel, request: SegmentationInput) -> Segmentation:
    answer = predict(model, request)
    assert isinstance(answer, Segmentation)
    return answer


def test_every_coin_is_found(model: CutlerModel) -> None:
    found = evaluate_coins(predictor(model), MARKS / "coins.json")
    assert found["found"] == found["coins"] == 24


def test_an_answer_is_consistent(model: CutlerModel) -> None:
    picture = cv2.cvtColor(skimage.data.coins(), cv2.COLOR_GRAY2BGR)
    answer = _segment(model, SegmentationInput(_png(picture), threshold=0.5))
    assert answer.size == picture.shape[:2]
    scores = [instance.score for instance in answer.instances]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0.5
    for instance in answer.instances:
        assert instance.mask is not None
        rle = {"size": list(instance.mask.size), "counts": instance.mask.counts}
        assert coco.area(rle) == instance.area
        x0, y0, x1, y1 = instance.box
        rows, columns = np.nonzero(coco.decode(rle))
        # A mask may reach half a bin beyond its box.
        assert columns.min() >= x0 - 2
        assert columns.max() <= x1 + 2
        assert rows.min() >= y0 - 2
        assert rows.max() <= y1 + 2
    assert answer.image is not None
    drawn = cv2.imdecode(np.frombuffer(answer.image, np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    assert drawn.shape == picture.shape


def test_a_higher_threshold_only_drops_instances(model: CutlerModel) -> None:
    data = _png(skimage.data.coffee()[:, :, ::-1])
    all_of_them = _segment(model, SegmentationInput(data, threshold=0.0)).instances
    sure = _segment(model, SegmentationInput(data, threshold=0.6)).instances
    expected = [instance for instance in all_of_them if instance.score > 0.6]
    assert len(sure) == len(expected)
    for one, other in zip(sure, expected, strict=True):
        assert one.box == pytest.approx(other.box, abs=1e-2)
        assert one.score == pytest.approx(other.score, abs=1e-5)


def test_what_is_not_asked_for_is_left_out(model: CutlerModel) -> None:
    data = _png(skimage.data.coffee()[:, :, ::-1])
    answer = _segment(model, SegmentationInput(data, want_image=False, want_masks=False))
    assert answer.image is None
    assert all(instance.mask is None for instance in answer.instances)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (2500, 2), (37, 41)])
def test_odd_sizes_are_answered(model: CutlerModel, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    answer = _segment(model, SegmentationInput(_png(noise), threshold=0.0))
    assert answer.size == shape


def test_what_is_no_picture_is_refused(model: CutlerModel) -> None:
    with pytest.raises(InvalidInputError):
        model.preprocess(SegmentationInput(b"plain text"))


def test_the_family_loads_and_warms_the_bundled_model(settings: Settings) -> None:
    artifact = FAMILY.builtin(settings)
    assert not artifact.pinned
    loaded = FAMILY.open(artifact, settings)
    loaded.warm()
    assert (loaded.info.name, loaded.info.version) == ("cutler", artifact.version)
    assert re.fullmatch("[0-9a-f]{12}", artifact.version)
    assert loaded.info.details["bundled"] is True
    assert loaded.info.memory_bytes > 20_000_000
    loaded.close()


def test_a_plain_picture_takes_the_defaults(model: CutlerModel) -> None:
    data = _png(skimage.data.coins()[:, :, None].repeat(3, axis=2))
    plain, asked = predict(model, Picture(data)), _segment(model, SegmentationInput(data))
    assert plain.instances == asked.instances
    assert len(plain.instances) == 24
    assert plain.image is not None


def test_what_is_neither_picture_nor_base64_is_refused(model: CutlerModel) -> None:
    for payload in ({"features": [1]}, {"inputs": "no base64!"}, {"inputs": [1]}, b"bytes", None):
        with pytest.raises(InvalidInputError):
            model.preprocess(payload)


def test_the_fast_preset_still_finds_the_coins(settings: Settings) -> None:
    fast = load_model(settings.model_copy(update={"cutler_preset": "fast"}))
    assert evaluate_coins(predictor(fast), MARKS / "coins.json")["found"] >= 23


def test_weights_and_configuration_belong_together(settings: Settings) -> None:
    half = settings.model_copy(update={"model_path": BUNDLED / "model.pth"})
    with pytest.raises(ConfigurationError) as caught:
        load_model(half)
    assert caught.value.where == "CONFIG_PATH"


def test_missing_weights_are_a_clear_error(settings: Settings, tmp_path: Path) -> None:
    paths = {"model_path": tmp_path / "no.pth", "config_path": BUNDLED / "config.yaml"}
    with pytest.raises(CheckpointError) as caught:
        load_model(settings.model_copy(update=paths))
    assert caught.value.where == "MODEL_PATH"


def test_a_device_that_is_not_there_is_a_clear_error(settings: Settings) -> None:
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(ConfigurationError) as caught:
        load_model(settings.model_copy(update={"cutler_device": missing}))
    assert caught.value.where == "CUTLER_DEVICE"


def test_detectron2_is_asked_for_but_not_installed(settings: Settings) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_model(settings.model_copy(update={"cutler_engine": "detectron2"}))
    assert caught.value.where == "CUTLER_ENGINE"


BF16 = """
import sys
import cv2, skimage.data
from services.core.errors import ConfigurationError
from services.core.settings import Settings
from services.families.cutler.model import load_model
picture = skimage.data.coins()
settings = Settings(_env_file=None, cutler_device="cpu", cutler_precision="bf16")
try:
    model = load_model(settings)
except ConfigurationError as error:
    sys.exit(0 if error.where == "CUTLER_PRECISION" else 1)
image = model.engine.prepare(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
found = model.engine.detect(image, 0.5)
sys.exit(0 if len(found.scores) == 24 else 1)
"""


@pytest.mark.slow
def test_bf16_finds_the_coins_or_is_refused() -> None:
    """In a process of its own: a CPU that only pretends to have bf16 would end this one."""
    result = subprocess.run([sys.executable, "-c", BF16], timeout=300, check=False)
    assert result.returncode == 0


def test_fast_means_less_work() -> None:
    config = load_config(BUNDLED / "config.yaml")
    fast = fast_preset(config)
    assert fast.rpn.post_nms_topk < config.rpn.post_nms_topk
    assert fast.heads.box_sampling_ratio == 2
    unlimited = dataclasses.replace(config.heads, box_sampling_ratio=0)
    assert fast_preset(dataclasses.replace(config, heads=unlimited)).heads.box_sampling_ratio == 2


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (800, 1067)), ((480, 1600), (400, 1333)), ((1, 5000), (1, 1333))],
)
def test_resizing_follows_the_shortest_edge(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert resized_shape(*size, 800, 1333) == expected


def test_a_copy_of_the_bundled_files_loads_by_path(settings: Settings, tmp_path: Path) -> None:
    for name in ("model.pth", "config.yaml"):
        shutil.copy(BUNDLED / name, tmp_path)
    paths = {"model_path": tmp_path / "model.pth", "config_path": tmp_path / "config.yaml"}
    named = settings.model_copy(update=paths)
    artifact = FAMILY.builtin(named)
    assert artifact.pinned
    assert artifact.version == FAMILY.builtin(settings).version
    assert FAMILY.open(artifact, named).info.details["bundled"] is False


def test_a_registered_version_is_saved_opened_and_answers_its_example(
    settings: Settings, tmp_path: Path
) -> None:
    base, child = tmp_path / "base.yaml", tmp_path / "child.yaml"
    shutil.copy(BUNDLED / "config.yaml", base)
    child.write_text("_BASE_: base.yaml\nTEST: {DETECTIONS_PER_IMAGE: 7}\n")
    made = fitted(BUNDLED / "model.pth", child)
    folder = tmp_path / "saved"
    folder.mkdir()
    made.save(folder)
    base.unlink()
    config = json.loads(json.dumps(made.config))
    artifact = Artifact("cutler", "mine", "4", folder, config, made.signature)
    loaded = FAMILY.open(artifact, settings)
    assert (loaded.info.name, loaded.info.version) == ("mine", "4")
    assert isinstance(loaded, CutlerModel)
    assert isinstance(loaded.engine, NativeEngine)
    assert loaded.engine.config.max_detections == 7
    answer = predict(loaded, json.loads(json.dumps(made.example)))
    assert answer.size == (120, 160)
    assert len(answer.instances) >= 1


@pytest.mark.parametrize("name", ["../model.pth", "/etc/passwd", 5, ".."])
def test_a_registered_version_stays_in_its_folder(
    settings: Settings, tmp_path: Path, name: object
) -> None:
    with pytest.raises(CheckpointError):
        FAMILY.open(Artifact("cutler", "cutler", "1", tmp_path, {"weights": name}), settings)


def test_a_registered_version_reads_no_other_configuration(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(f"_BASE_: {BUNDLED / 'config.yaml'}\n")
    with pytest.raises(ConfigurationError) as caught:
        FAMILY.open(Artifact("cutler", "cutler", "1", tmp_path), settings)
    assert caught.value.where == "CONFIG_PATH: _BASE_"


REPEATED = """
import gc, ctypes, psutil
from tests.conftest import settings_for_tests
from services.families.cutler import FAMILY
settings = settings_for_tests(cutler_device="cpu", cutler_precision="fp32")
resident = []
for _ in range(6):
    model = FAMILY.open(FAMILY.builtin(settings), settings)
    model.warm()
    model.close()
    del model
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    resident.append(psutil.Process().memory_info().rss / 2**20)
print(resident)
assert resident[-1] - resident[0] < 20, resident
"""


@pytest.mark.slow
def test_loading_again_and_again_takes_no_more_memory() -> None:
    subprocess.run([sys.executable, "-c", REPEATED], timeout=300, check=True)
