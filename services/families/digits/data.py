"""Handwritten digits to learn from: scikit-learn's, or files of MNIST."""

import gzip
import hashlib
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInputError
from services.families.base import Split
from services.families.digits.placing import SIDE, place

CLASSES = 10

_HELD_OUT_SHARE = 0.2
# Of the split and nothing else, so that every model is judged on the same digits.
_SPLIT_SEED = 1797
_MAX_IMAGES = 10_000_000
_IDX_UINT8 = 0x08
_PARTS = {
    "train": ("train-images", "train-labels"),
    "test": ("t10k-images", "t10k-labels"),
}

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def bundled() -> Split:
    """Return scikit-learn's 1,797 digits of 8 x 8 pixels, resampled and placed as MNIST's are."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.stack([place(image.astype(np.float32)) * 255 for image in found.images])
    return _divide(
        np.rint(images).astype(np.uint8), found.target.astype(np.uint8), "scikit-learn digits"
    )


def read(source: Path) -> Split:
    """Read MNIST: a folder of IDX files (gzipped or not), or its `.npz`.

    Its test set is held out; where there is none, a fifth of the training set.

    Raises:
        InvalidInputError: the files are not there, damaged, or do not belong together.
    """
    parts = _read_npz(source) if source.suffix == ".npz" else _read_folder(source)
    if "train" not in parts:
        raise _refused("The data hold no training images.")
    pairs = {part: _checked(*pair, part) for part, pair in parts.items()}
    if "test" not in pairs:
        return _divide(*pairs["train"], source.name)
    return _split(pairs["train"], pairs["test"], source.name)


def _divide(images: NDArray[np.uint8], labels: NDArray[np.uint8], source: str) -> Split:
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(images))
    held = max(1, round(len(images) * _HELD_OUT_SHARE))
    train, held_out = order[held:], order[:held]
    return _split((images[train], labels[train]), (images[held_out], labels[held_out]), source)


def _split(train: Pair, held_out: Pair, source: str) -> Split:
    if not len(train[0]) or not len(held_out[0]):
        raise _refused("There are too few digits to learn from and to judge by.")
    digest = hashlib.sha256()
    for array in (*train, *held_out):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    rows = (len(train[0]), len(held_out[0]))
    return Split(train, held_out, digest.hexdigest(), source, rows)


def _checked(images: NDArray[Any], labels: NDArray[Any], part: str) -> Pair:
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise _refused(f"The {part} images are not 28 x 28 bytes each.")
    if labels.dtype.kind not in "ui" or labels.shape != images.shape[:1]:
        raise _refused(f"The {part} labels are not one whole number for each image.")
    if labels.size and (labels.min() < 0 or labels.max() >= CLASSES):
        wrong = int(np.flatnonzero((labels < 0) | (labels >= CLASSES))[0])
        raise _refused(f"Label {wrong} of the {part} labels (counted from 0) is no digit.")
    return images, labels.astype(np.uint8)


def _read_npz(path: Path) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    names = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {
                part: (archive[images], archive[labels])
                for part, (images, labels) in names.items()
                if images in archive and labels in archive
            }
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise _refused("The .npz file cannot be read.") from error


def _read_folder(folder: Path) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    found = {}
    for part, (images, labels) in _PARTS.items():
        files = _idx_file(folder, f"{images}?idx3-ubyte"), _idx_file(folder, f"{labels}?idx1-ubyte")
        if files[0] is not None and files[1] is not None:
            found[part] = _read_idx(files[0]), _read_idx(files[1])
    return found


def _idx_file(folder: Path, pattern: str) -> Path | None:
    """Return the file; its name may have a dot where the original has a dash, and be gzipped."""
    matches = [*sorted(folder.glob(pattern)), *sorted(folder.glob(pattern + ".gz"))]
    return matches[0] if matches else None


def _read_idx(path: Path) -> NDArray[np.uint8]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _parse_idx(file, path.name)
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(f"The file {path.name!r} cannot be read.") from error


def _parse_idx(file: "gzip.GzipFile | BinaryIO", name: str) -> NDArray[np.uint8]:
    """Parse an IDX file: two zeros, type, number of dimensions, each one big-endian, the bytes."""
    head = file.read(4)
    if len(head) != 4 or head[:2] != b"\0\0" or head[2] != _IDX_UINT8 or head[3] not in (1, 3):
        raise _refused(f"The file {name!r} is no IDX file of bytes.")
    shape = tuple(int.from_bytes(file.read(4), "big") for _ in range(head[3]))
    size = math.prod(shape)
    if size > _MAX_IMAGES * SIDE * SIDE:
        raise _refused(f"The file {name!r} claims to hold {size} bytes.")
    data = file.read(size + 1)
    if len(data) != size:
        raise _refused(f"The file {name!r} does not hold what its head says.")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _refused(message: str) -> InvalidInputError:
    return InvalidInputError(
        message,
        where="data",
        expected="a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and, for the "
        "held-out digits, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each as it is or "
        "with .gz; or an .npz with x_train, y_train, x_test and y_test",
    )
