"""Masks and boxes that people give, against hand-made answers whose precision is known."""

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from services.core.errors import InvalidInputError
from services.families.cutler import FAMILY
from services.families.cutler.truth import MOST_OBJECTS, unpacked

HEIGHT, WIDTH = 40, 60
SQUARE = (10, 5, 30, 25)
OTHER = (35, 10, 55, 30)


def rle(x0: int, y0: int, x1: int, y1: int) -> dict[str, Any]:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[y0:y1, x0:x1] = 1
    found = coco.encode(np.asfortranarray(pixels))
    return {"size": [HEIGHT, WIDTH], "counts": found["counts"].decode()}


def answer(*boxes: tuple[int, int, int, int], masks: bool = True) -> dict[str, Any]:
    instances = [
        {
            "box": list(box), "score": 0.9 - 0.1 * number, "area": 400,
            "mask": rle(*box) if masks else None,
        }
        for number, box in enumerate(boxes)
    ]  # fmt: skip
    return {"size": [HEIGHT, WIDTH], "instances": instances, "image": None}


def measured(*pairs: tuple[dict[str, Any], list[Any]]) -> dict[str, float]:
    return FAMILY.quality(
        [(FAMILY.comparable(output), FAMILY.truth(given, output)) for output, given in pairs]
    )


def polygon(x0: int, y0: int, x1: int, y1: int) -> dict[str, Any]:
    return {"polygons": [[x0, y0, x1, y0, x1, y1, x0, y1]]}


@pytest.mark.parametrize(
    "given",
    [
        {"mask": rle(*SQUARE)},
        rle(*SQUARE),
        {"mask": {"size": [HEIGHT, WIDTH], "counts": unpacked(rle(*SQUARE)["counts"])}},
        polygon(*SQUARE),
        {"segmentation": polygon(*SQUARE)["polygons"], "bbox": [0, 0, 5, 5], "category_id": 1},
        {"segmentation": rle(*SQUARE), "iscrowd": 0},
    ],
)
def test_a_mask_in_any_form(given: dict[str, Any]) -> None:
    assert measured((answer(SQUARE), [given])) == pytest.approx({"ap": 1.0, "ap50": 1.0})


@pytest.mark.parametrize("given", [{"box": list(SQUARE)}, {"bbox": [10, 5, 20, 20]}])
@pytest.mark.parametrize("masks", [True, False])
def test_a_box(given: dict[str, Any], masks: bool) -> None:
    found = measured((answer(SQUARE, masks=masks), [given]))
    assert found == pytest.approx({"box_ap": 1.0, "box_ap50": 1.0})


def test_masks_are_boxes_where_the_answer_has_none() -> None:
    found = measured((answer(SQUARE, masks=False), [polygon(*SQUARE)]))
    assert found == pytest.approx({"box_ap": 1.0, "box_ap50": 1.0})


def test_precision_that_is_known() -> None:
    """One of two objects found: the curve is 1 up to recall 0.5, of which 51 of 101 points are."""
    found = measured((answer(SQUARE), [polygon(*SQUARE), polygon(*OTHER)]))
    assert found == pytest.approx({"ap": 51 / 101, "ap50": 51 / 101})


def test_precision_of_a_mask_that_is_off() -> None:
    """Shifted by 5 of 20 pixels: 300 of 500 are common, IoU 0.6; three thresholds of ten hold."""
    x0, y0, x1, y1 = SQUARE
    found = measured((answer((x0 + 5, y0, x1 + 5, y1)), [polygon(*SQUARE)]))
    assert found == pytest.approx({"ap": 0.3, "ap50": 1.0})


def test_it_falls_by_what_is_found_where_nothing_is() -> None:
    right = (answer(SQUARE), [polygon(*SQUARE)])
    assert measured(right, (answer(), []))["ap50"] == pytest.approx(1.0)
    # Of three, two are wrong and as sure as the right one.
    wrong = measured(right, (answer(SQUARE), []), (answer(SQUARE), []))
    assert wrong["ap50"] < 1.0
    assert measured((answer(SQUARE), [])) == {}
    assert measured((answer(), [polygon(*SQUARE)])) == {"ap": 0.0, "ap50": 0.0}


def test_it_says_neither_yes_nor_a_class() -> None:
    output = answer(SQUARE)
    assert FAMILY.answered(output) is None
    assert FAMILY.right(FAMILY.comparable(output), FAMILY.truth([], output)) is None
    odds: list[Any] = [None, {}, {"instances": 3}, []]
    for odd in odds:
        assert FAMILY.comparable(odd) is None


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ("cat", "expected"),
        ({"box": list(SQUARE)}, "expected"),
        (["cat"], "expected[0]"),
        ([{"label": "cat"}], "expected[0]"),
        ([{"box": list(SQUARE), "unknown": 1}], "expected[0]"),
        ([{"box": [10, 5, 10, 25]}], "expected[0].box"),
        ([{"box": [10, 5, 30]}], "expected[0].box"),
        ([{"box": [10, 5, 300, 25]}], "expected[0].box"),
        ([{"box": ["a", 5, 30, 25]}], "expected[0].box"),
        ([{"bbox": [10, 5, -1, 2]}], "expected[0].bbox"),
        ([{"polygons": []}], "expected[0].polygons"),
        ([{"polygons": [[1, 2, 3, 4]]}], "expected[0].polygons[0]"),
        ([{"polygons": [[1, 2, 3, 4, 5, 6, 7]]}], "expected[0].polygons[0]"),
        ([{"polygons": [[0, 0, 1e9, 0, 5, 5]]}], "expected[0].polygons[0]"),
        ([{"polygons": [[0, 0, float("nan"), 0, 5, 5]]}], "expected[0].polygons[0]"),
        ([{"mask": {"size": [WIDTH, HEIGHT], "counts": "0"}}], "expected[0].mask.size"),
        ([{"mask": {"size": [HEIGHT, WIDTH], "counts": "0"}}], "expected[0].mask.counts"),
        ([{"mask": {"size": [HEIGHT, WIDTH], "counts": "ooo"}}], "expected[0].mask.counts"),
        ([{"mask": {"size": [HEIGHT, WIDTH], "counts": "\u00e9"}}], "expected[0].mask.counts"),
        ([{"mask": {"size": [HEIGHT, WIDTH], "counts": [-1, 2401]}}], "expected[0].mask.counts"),
        ([{"mask": {"size": [HEIGHT, WIDTH], "counts": [2**70]}}], "expected[0].mask.counts"),
        ([{"mask": {"counts": [2400]}}], "expected[0].mask"),
        ([{"mask": rle(*SQUARE), "iscrowd": 1}], "expected[0].iscrowd"),
        ([{"box": list(SQUARE)}] * (MOST_OBJECTS + 1), "expected"),
    ],
)
def test_what_is_refused(given: Any, where: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        FAMILY.truth(given, answer(SQUARE))
    assert caught.value.where == where
    assert caught.value.expected


def test_run_lengths_are_read_as_pycocotools_writes_them() -> None:
    generator = np.random.default_rng(7)
    for share in (0.0, 0.1, 0.5, 1.0):
        pixels = (generator.random((37, 53)) < share).astype(np.uint8)
        text = coco.encode(np.asfortranarray(pixels))["counts"].decode()
        runs = unpacked(text)
        assert runs is not None and sum(runs) == 37 * 53
        again = np.repeat(np.arange(len(runs)) % 2, runs).reshape(53, 37).T
        assert (again == pixels).all()
