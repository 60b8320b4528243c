"""Shapes to learn from: generated drawings, or a folder of pictures sorted into sub-folders."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInputError
from services.core.images import ImageLimits, decode_image
from services.families.base import Split
from services.families.shapes.drawings import LABELS, draw
from services.families.shapes.focus import focus

# Seeds of drawings that training never sees begin here, beyond any number of drawings.
HELD_OUT = 1_000_000_000
_HELD_OUT_DRAWINGS = 960
_HELD_OUT_SHARE = 0.2
_KINDS = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_LIMITS = ImageLimits(max_pixels=100_000_000, max_side=30_000)
_MOST_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """Pictures as the network sees them, uint8 [N, 1, 48, 48], and the numbers of their labels."""

    pictures: NDArray[np.uint8]
    numbers: NDArray[np.int64]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Files:
    """Encoded pictures, and what each shows."""

    files: tuple[bytes, ...]
    names: tuple[str, ...]


def generated(drawings: int) -> Split:
    """Draw pictures to learn from, and 960 others to judge by."""
    before = cv2.getNumThreads()
    # Such small pictures are done before other threads have heard of them.
    cv2.setNumThreads(1)
    try:
        train = [draw(seed) for seed in range(drawings)]
        others = [draw(HELD_OUT + number) for number in range(_HELD_OUT_DRAWINGS)]
        seen = _seen((focus(drawing.pixels) for drawing in train), [d.label for d in train], LABELS)
    finally:
        cv2.setNumThreads(before)
    held_out = Files(
        tuple(png(drawing.pixels) for drawing in others),
        tuple(LABELS[drawing.label] for drawing in others),
    )
    return _split(seen, held_out, "generated")


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode a BGR picture; quickly rather than small."""
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def read(source: Path) -> Split:
    """Read pictures from sub-folders that are named after what they show.

    A fifth of each is held out, chosen by the digests of the files.

    Raises:
        InvalidInputError: there are fewer than two such folders, too few pictures in one, or a
            file is no picture (names it).
    """
    folders = sorted(path for path in _children(source) if path.is_dir())
    labels = tuple(folder.name for folder in folders)
    if not 2 <= len(labels) <= _MOST_CLASSES:
        raise _refused(f"There are {len(labels)} folders of pictures.")
    pictures: list[NDArray[np.uint8]] = []
    numbers: list[int] = []
    files: list[bytes] = []
    names: list[str] = []
    for number, folder in enumerate(folders):
        found = _read_files(folder)
        held = max(1, round(len(found) * _HELD_OUT_SHARE))
        if len(found) < held + 1:
            raise _refused(f"The folder {folder.name!r} holds {len(found)} pictures.")
        files += found[:held]
        names += [folder.name] * held
        pictures += [focus(decode_image(data, _LIMITS)) for data in found[held:]]
        numbers += [number] * (len(found) - held)
    return _split(_seen(pictures, numbers, labels), Files(tuple(files), tuple(names)), source.name)


def _read_files(folder: Path) -> list[bytes]:
    """Return the files of a folder in the order of their digests, each found to be a picture."""
    found = {}
    for path in _children(folder):
        if path.suffix.lower() in _KINDS:
            try:
                data = path.read_bytes()
                decode_image(data, _LIMITS)
            except (OSError, InvalidInputError) as error:
                raise _refused(f"{folder.name}/{path.name} cannot be read as a picture.") from error
            found[hashlib.sha256(data).digest()] = data
    return [found[digest] for digest in sorted(found)]


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise _refused("The data are no folder that can be read.") from error


def _seen(
    pictures: Iterable[NDArray[np.uint8]], numbers: list[int], labels: tuple[str, ...]
) -> Seen:
    return Seen(np.stack(list(pictures))[:, None], np.array(numbers, np.int64), labels)


def _split(train: Seen, held_out: Files, source: str) -> Split:
    digest = hashlib.sha256("\0".join((*train.labels, *held_out.names)).encode())
    digest.update(train.pictures.tobytes())
    digest.update(train.numbers.tobytes())
    for data in held_out.files:
        digest.update(hashlib.sha256(data).digest())
    rows = (len(train.pictures), len(held_out.files))
    return Split(train, held_out, digest.hexdigest(), source, rows)


def _refused(message: str) -> InvalidInputError:
    return InvalidInputError(
        message,
        where="data",
        expected="a folder with two or more sub-folders, each named after what its pictures show "
        "and holding two or more different JPEG, PNG or WEBP files",
    )
