"""Weights load strictly and safely."""

import collections
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from services.core.errors import CheckpointError
from services.families.cutler.checkpoint import load_weights
from services.families.cutler.config import parse_config
from services.families.cutler.network import CascadeMaskRcnn
from tests.families.cutler.reference import CUTLER_R50

State = dict[str, torch.Tensor]


def _small(norm: str = "BN") -> CascadeMaskRcnn:
    model = CUTLER_R50["MODEL"]
    tree = CUTLER_R50 | {
        "MODEL": model
        | {
            "RESNETS": model["RESNETS"] | {"DEPTH": 18, "RES2_OUT_CHANNELS": 64, "NORM": norm},
            "FPN": model["FPN"] | {"OUT_CHANNELS": 16},
            "ROI_BOX_HEAD": model["ROI_BOX_HEAD"] | {"FC_DIM": 8},
            "ROI_MASK_HEAD": model["ROI_MASK_HEAD"] | {"NUM_CONV": 1, "CONV_DIM": 8},
        }
    }
    return CascadeMaskRcnn(parse_config(tree))


@pytest.fixture(scope="module")
def state() -> State:
    torch.manual_seed(1)
    return _small().state_dict()


def _save(path: Path, content: Any) -> Path:
    if path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path)
    return path


def _same(network: CascadeMaskRcnn, state: State) -> bool:
    return all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_a_training_checkpoint_loads(tmp_path: Path, state: State) -> None:
    content = {
        "model": collections.OrderedDict(state),
        "scheduler": {"milestones": collections.Counter([1, 2])},
        "iteration": 7,
    }
    network = _small()
    load_weights(network, _save(tmp_path / "model.pth", content))
    assert _same(network, state)


def test_a_model_zoo_pickle_loads(tmp_path: Path, state: State) -> None:
    arrays = {name: value.numpy() for name, value in state.items()}
    content = {"model": arrays, "__author__": "Detectron2 Model Zoo"}
    network = _small()
    load_weights(network, _save(tmp_path / "model.pkl", content))
    assert _same(network, state)


def test_what_follows_from_the_configuration_may_be_there(tmp_path: Path, state: State) -> None:
    old = {
        "proposal_generator.anchor_generator.cell_anchors.0": torch.zeros(3, 4),
        "pixel_mean": torch.zeros(3, 1, 1),
    }
    network = _small()
    load_weights(network, _save(tmp_path / "model.pth", state | old))
    assert _same(network, state)


def test_frozen_normalisation_loads_from_a_trained_one(tmp_path: Path, state: State) -> None:
    network = _small("FrozenBN")
    load_weights(network, _save(tmp_path / "model.pth", state))
    assert _same(network, state)


FC1 = "roi_heads.box_head.0.fc1.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop(FC1), "missing: " + FC1),
        (lambda s: s.update({"backbone.extra": torch.ones(1)}), "not part of the network: back"),
        (lambda s: s.update({FC1: torch.ones(3, 3)}), f"wrong shape: {FC1} ([3, 3] instead of"),
        (lambda s: s.update({FC1: s[FC1] / 0}), "not finite: " + FC1),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(
    tmp_path: Path, state: State, change: Callable[[State], Any], said: str
) -> None:
    changed = dict(state)
    change(changed)
    network = _small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_weights(network, _save(tmp_path / "model.pth", changed))
    assert said in caught.value.message
    assert _same(network, before)


class _Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("name", ["model.pth", "model.pkl"])
def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, state: State, name: str) -> None:
    target = tmp_path / "owned"
    path = _save(tmp_path / name, {"model": dict(state), "extra": _Bomb(target)})
    with pytest.raises(CheckpointError, match="asks to load something other than"):
        load_weights(_small(), path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("model.pth", b""),
        ("model.pth", b"not a checkpoint"),
        ("model.pkl", b"\x80\x02"),
        ("model.pkl", pickle.dumps({"model": {"x": "text"}})),
        ("model.pkl", pickle.dumps({"model": {"x": np.array(["text"], dtype=object)}})),
        ("model.pkl", pickle.dumps({})),
    ],
)
def test_a_broken_file_is_a_clear_error(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        load_weights(_small(), path)
    assert name in caught.value.message
    assert caught.value.where == "MODEL_PATH"


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        load_weights(_small(), tmp_path / "model.pth")
