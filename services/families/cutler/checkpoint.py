"""Reading Detectron2 weights without running anything that a file might carry.

A `.pth` is read by `torch.load(weights_only=True)`; a `.pkl` (Detectron2's model zoo) by an
unpickler that knows NumPy arrays and nothing else. Either way a file that asks for any other
global is refused before that global is even imported.
"""

import collections
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor, nn

from services.core.errors import CheckpointError

# Detectron2 once stored what now follows from the configuration, or has no effect on a prediction.
_DERIVED_PREFIXES = ("proposal_generator.anchor_generator.cell_anchors.", "pixel_mean", "pixel_std")
_COUNTER = "num_batches_tracked"
_SHOWN = 5

_PICKLE_GLOBALS = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a Detectron2 checkpoint into `network`, strictly.

    Args:
        network: its parameters are replaced, keeping their number type and device.
        path: a `.pth`, `.pt` or `.pkl` file.

    Raises:
        CheckpointError: the file is missing, unreadable, asks to run code, or any tensor is
            missing, superfluous, of another shape, or not finite; the message names it.
    """
    given = {name.removeprefix("module."): value for name, value in read_state_dict(path).items()}
    own = network.state_dict()
    given = {name: t for name, t in given.items() if not name.startswith(_DERIVED_PREFIXES)}
    missing = [name for name in own if name not in given and not name.endswith(_COUNTER)]
    extra = [name for name in given if name not in own and not name.endswith(_COUNTER)]
    misshapen = [
        f"{name} ({list(given[name].shape)} instead of {list(own[name].shape)})"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    infinite = [
        name for name, t in given.items() if t.is_floating_point() and not t.isfinite().all()
    ]
    problems = [
        f"{what}: {_some(names)}"
        for what, names in (
            ("missing", missing),
            ("not part of the network", extra),
            ("wrong shape", misshapen),
            ("not finite", infinite),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"The weights in {path.name!r} do not fit the configured network: "
            + "; ".join(problems)
            + ".",
            where="MODEL_PATH",
            expected="weights of the architecture that CONFIG_PATH describes",
        )
    network.load_state_dict({name: t for name, t in given.items() if name in own}, strict=False)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return {parameter name: tensor} of a checkpoint file (see `load_weights`)."""
    try:
        with path.open("rb") as file:
            content = _read_pickle(file) if path.suffix == ".pkl" else _read_torch(file)
    except OSError as error:
        raise CheckpointError(
            f"The weights file {path.name!r} cannot be read: {error.strerror}.",
            where="MODEL_PATH",
            expected="a readable .pth or .pkl file",
        ) from error
    except Exception as error:  # a hostile or broken pickle can raise anything at all
        raise CheckpointError(
            f"The weights file {path.name!r} is broken, or asks to load something other than "
            f"tensors ({type(error).__name__}).",
            where="MODEL_PATH",
            expected="a checkpoint that holds tensors only",
        ) from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not content:
        raise CheckpointError(
            f"The weights file {path.name!r} holds no parameters.",
            where="MODEL_PATH",
            expected='{"model": {name: tensor}} or {name: tensor}',
        )
    return {str(name): _tensor(str(name), value, path) for name, value in content.items()}


def _read_torch(file: BinaryIO) -> Any:
    # Schedulers that Detectron2 saves along count their milestones.
    with torch.serialization.safe_globals([collections.Counter]):
        return torch.load(file, map_location="cpu", weights_only=True)


def _read_pickle(file: BinaryIO) -> Any:
    return _ArrayUnpickler(file, encoding="latin1").load()


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles containers, numbers, text and NumPy arrays; refuses every other global."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the few globals that an array consists of."""
        module = module.replace("numpy.core", "numpy._core")
        if module == "numpy._core.multiarray" and name in ("_reconstruct", "scalar"):
            return super().find_class(module, name)
        if (module, name) == ("_codecs", "encode"):
            return _encode_latin1
        try:
            return _PICKLE_GLOBALS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed") from None


def _encode_latin1(text: str, encoding: str) -> bytes:
    """Stand in for `_codecs.encode`, which protocol 2 uses to carry the bytes of an array."""
    if encoding != "latin1":
        raise pickle.UnpicklingError("only latin1 is allowed")
    return text.encode("latin1")


def _tensor(name: str, value: Any, path: Path) -> Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        return torch.from_numpy(value.copy())
    if isinstance(value, Tensor):
        return value
    raise CheckpointError(
        f"The entry {name!r} of {path.name!r} is not a tensor.",
        where="MODEL_PATH",
        expected="a checkpoint that holds tensors only",
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
