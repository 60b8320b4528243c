"""Training learns, stops and resumes, and exports what the serving side loads."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
import yaml

from services.core.errors import CheckpointError, ConfigurationError
from services.families.cutler.boxes import decode_boxes, encode_boxes
from services.families.cutler.checkpoint import load_weights
from services.families.cutler.config import load_config
from services.families.cutler.network import CascadeMaskRcnn
from services.training.segmenter.initialise import initialise
from services.training.segmenter.losses import Sampling, detection_losses
from services.training.segmenter.scenes import generate_scene
from services.training.segmenter.targets import (
    BACKGROUND,
    IGNORED,
    Target,
    mask_targets,
    match,
    sample,
)
from services.training.segmenter.train import BUNDLED_CONFIG, Progress, TrainOptions, run, schedule


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    """A network small enough to take a step in a blink."""
    tree = yaml.safe_load(BUNDLED_CONFIG.read_text())
    tree["MODEL"]["FPN"]["OUT_CHANNELS"] = 16
    tree["MODEL"]["ROI_BOX_HEAD"]["FC_DIM"] = 16
    tree["MODEL"]["ROI_MASK_HEAD"]["CONV_DIM"] = 16
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(tree))
    return TrainOptions(
        out=tmp_path / "out", config=config, scenes=8, size=64, batch=2, threads=1, workers=0
    )


def test_training_exports_a_model_that_loads(options: TrainOptions) -> None:
    model = run(options)
    network = CascadeMaskRcnn(load_config(options.config))
    load_weights(network, model)
    content = torch.load(model, weights_only=True)
    assert {t.dtype for t in content["model"].values()} == {torch.float16, torch.int64}
    # The smallest numbers there are: for training they count as 0, and for nobody else.
    assert float(torch.tensor([5e-324], dtype=torch.float64) * 1.0) > 0
    assert math.ulp(0.0) * 1.0 > 0


def test_training_resumes_where_it_stopped(options: TrainOptions) -> None:
    run(dataclasses.replace(options, scenes=4))
    seen = torch.load(options.out / "checkpoint.pt", weights_only=True)["seen"]
    assert seen == 4
    run(options)
    saved = torch.load(options.out / "checkpoint.pt", weights_only=True)
    assert saved["seen"] == 8
    steps = {int(state["step"]) for state in saved["optimiser"]["state"].values()}
    assert steps == {4}


def test_a_checkpoint_of_another_network_is_refused(options: TrainOptions) -> None:
    run(dataclasses.replace(options, scenes=2))
    text = options.config.read_text().replace("OUT_CHANNELS: 16", "OUT_CHANNELS: 32")
    options.config.write_text(text)
    with pytest.raises(CheckpointError, match="does not fit"):
        run(options)


def test_losses_fall_on_a_scene_seen_again_and_again(options: TrainOptions) -> None:
    torch.manual_seed(0)
    network = CascadeMaskRcnn(load_config(options.config))
    initialise(network)
    network.train()
    scene = next(s for s in (generate_scene(i, 64) for i in range(100)) if len(s.masks))
    image = torch.from_numpy(scene.image.transpose(2, 0, 1).copy()).float()
    images = ((image - network.pixel_mean) / network.pixel_std).expand(2, -1, -1, -1)
    target = Target(torch.from_numpy(scene.boxes), torch.from_numpy(scene.masks).byte())
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    totals = []
    for _ in range(12):
        losses = detection_losses(network, images, [target, target], Sampling(regions=32))
        total = torch.stack([losses[n] for n in ("rpn_object", "rpn_box", "mask")]).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(float(total.detach()))
    assert all(math.isfinite(value) for value in totals)
    assert sum(totals[-3:]) < 0.85 * sum(totals[:3])


def test_a_scene_without_objects_has_finite_losses(options: TrainOptions) -> None:
    network = CascadeMaskRcnn(load_config(options.config)).train()
    initialise(network)
    empty = Target(torch.zeros(0, 4), torch.zeros(0, 64, 64, dtype=torch.uint8))
    losses = detection_losses(network, torch.randn(2, 3, 64, 64), [empty, empty], Sampling())
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.isfinite(value) for value in losses.values())


def test_matching_by_overlap() -> None:
    truth = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 20], [50, 50, 60, 60.0]])
    assert match(boxes, truth, 0.3, 0.7).tolist() == [0, IGNORED, BACKGROUND]
    assert match(boxes[1:], truth, 0.3, 0.7, rescue=True).tolist() == [0, BACKGROUND]


def test_sampling_keeps_to_its_share() -> None:
    matched = torch.tensor([0] * 50 + [BACKGROUND] * 50 + [IGNORED] * 50)
    positive, negative = sample(matched, 40, 0.25)
    assert (len(positive), len(negative)) == (10, 30)
    assert positive.max() < 50 <= negative.min()
    assert negative.max() < 100


def test_mask_targets_are_coverage() -> None:
    masks = torch.zeros(1, 32, 32, dtype=torch.uint8)
    masks[0, :, :16] = 1
    target = Target(torch.tensor([[0.0, 0.0, 16.0, 32.0]]), masks)
    box = torch.tensor([[0.0, 0.0, 32.0, 32.0]])
    wanted = mask_targets(target, torch.tensor([0]), box, 8)[0]
    assert wanted[:, :3].min() == 1.0
    assert wanted[:, 5:].max() == 0.0


def test_boxes_survive_encoding() -> None:
    torch.manual_seed(0)
    boxes = torch.rand(20, 4).cumsum(dim=1) * 50 + 1
    truth = torch.rand(20, 4).cumsum(dim=1) * 50 + 1
    weights = (10.0, 10.0, 5.0, 5.0)
    decoded = decode_boxes(encode_boxes(truth, boxes, weights), boxes, weights)
    torch.testing.assert_close(decoded, truth, atol=1e-3, rtol=1e-4)


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    factors = [schedule(seen, 10_000) for seen in range(0, 10_001, 500)]
    assert factors[0] < 0.01
    assert max(factors) == factors[2] == 1.0
    assert factors[-1] == 0.0


def test_training_never_sees_the_held_out_scenes(options: TrainOptions) -> None:
    with pytest.raises(ConfigurationError):
        run(dataclasses.replace(options, seed=10))
    assert not options.out.exists()


def test_training_starts_from_given_weights(options: TrainOptions) -> None:
    first = run(dataclasses.replace(options, scenes=2))
    # The last learning rate is all but zero, so that the result is where it started.
    second = dataclasses.replace(options, out=options.out / "b", scenes=2, weights=first)
    given = torch.load(first, weights_only=True)["model"]
    found = torch.load(run(second), weights_only=True)["model"]
    name = "roi_heads.box_head.0.fc1.weight"
    torch.testing.assert_close(found[name].float(), given[name].float(), atol=5e-3, rtol=0)


def test_progress_is_reported(options: TrainOptions) -> None:
    reports: list[Progress] = []
    run(dataclasses.replace(options, report_every=2), reports.append)
    assert reports[-1].seen == 8
    assert reports[-1].rate > 0
    assert "mask" in reports[-1].losses
