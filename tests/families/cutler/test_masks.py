"""Masks are pasted and encoded as Detectron2 and COCO do it."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco
from torch.nn import functional as F

from services.families.cutler.masks import PastedMask, draw, encode_rle, paste_mask

HEIGHT, WIDTH = 60, 80
BOXES = [
    (10.3, 5.8, 40.1, 50.2),
    (0.0, 0.0, 80.0, 60.0),
    (70.5, 50.5, 80.0, 60.0),
    (3.2, 0.0, 5.9, 60.0),
    (20.0, 20.0, 20.6, 20.4),
]


def _whole(mask: PastedMask) -> NDArray[np.bool_]:
    picture = np.zeros((HEIGHT, WIDTH), dtype=bool)
    rows, columns = mask.pixels.shape
    picture[mask.top : mask.top + rows, mask.left : mask.left + columns] = mask.pixels
    return picture


def _sampled(mask: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The same by torch's grid_sample over the whole picture."""
    y = (np.arange(HEIGHT) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
    x = (np.arange(WIDTH) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
    grid = np.stack(np.meshgrid(x, y), axis=2).astype(np.float32)[None]
    tensor = torch.from_numpy(mask)[None, None]
    return (F.grid_sample(tensor, torch.from_numpy(grid), align_corners=False)[0, 0] >= 0.5).numpy()


@pytest.mark.parametrize("box", BOXES)
def test_pasting_equals_sampling_the_whole_picture(box: tuple[float, ...]) -> None:
    mask = np.random.default_rng(0).random((28, 28), dtype=np.float32)
    corners = np.array(box, dtype=np.float32)
    pasted = _whole(paste_mask(mask, corners, HEIGHT, WIDTH))
    # A pixel within rounding of 0.5 may fall either way.
    assert (pasted != _sampled(mask, corners)).sum() <= 1


@pytest.mark.parametrize("seed", range(6))
def test_run_lengths_equal_those_of_coco(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, columns = (HEIGHT, WIDTH) if seed % 2 else (20, 30)
    pixels = random.random((rows, columns)) < (0.5 if seed < 4 else 1.1)
    left, top = (0, 0) if seed % 2 else (WIDTH - columns, HEIGHT - rows)
    mask = PastedMask(left, top, pixels)
    expected = coco.encode(np.asfortranarray(_whole(mask).astype(np.uint8)))
    rle = encode_rle(mask, HEIGHT, WIDTH)
    assert rle.size == (HEIGHT, WIDTH)
    assert rle.counts == expected["counts"].decode()


def test_an_empty_mask_is_encoded() -> None:
    rle = encode_rle(PastedMask(5, 5, np.zeros((4, 4), dtype=bool)), HEIGHT, WIDTH)
    assert coco.area({"size": list(rle.size), "counts": rle.counts}) == 0


def test_the_drawing_marks_the_object_and_leaves_the_rest() -> None:
    image = np.full((HEIGHT * 4, WIDTH * 4, 3), 90, dtype=np.uint8)
    mask = PastedMask(200, 100, np.ones((60, 60), dtype=bool))
    boxes = np.array([[200, 100, 260, 160]], dtype=np.float32)
    jpeg = draw(image, [mask], boxes, np.array([0.9], dtype=np.float32))
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == image.shape
    assert np.abs(picture[130, 230].astype(int) - 90).max() > 30
    assert np.abs(picture[20, 20].astype(int) - 90).max() <= 3
