"""The segmenter's answers judged by masks or boxes that people gave: average precision.

Source: COCO's evaluation (pycocotools), one category, at most 100 objects a picture.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from services.families._judging import Judging
from services.families.cutler.truth import objects

_MOST_FOUND = 100
_SEGMENTS, _BOXES = "segm", "bbox"
_KEYS = {_SEGMENTS: "masks", _BOXES: "boxes"}
# The first of COCO's IoU thresholds (0.50 to 0.95), all areas, 100 objects a picture.
_AT_HALF, _ALL_AREAS, _ALL_OBJECTS = 0, 0, 2


class MaskJudging(Judging):
    """For outputs with `size` and `instances`."""

    def comparable(self, output: Any) -> dict[str, Any] | None:
        """Return size, scores, boxes, and masks (compressed run lengths; None: not asked for)."""
        if not isinstance(output, Mapping) or not isinstance(output.get("instances"), list):
            return None
        best = sorted(output["instances"], key=lambda one: -one["score"])[:_MOST_FOUND]
        masks = [one["mask"]["counts"] for one in best if one["mask"] is not None]
        return {
            "size": list(output["size"]),
            "scores": [one["score"] for one in best],
            "boxes": [list(one["box"]) for one in best],
            "masks": masks if len(masks) == len(best) else None,
        }

    def truth(self, given: Any, output: Any) -> dict[str, Any]:
        """Return the objects' masks, where all of them and of the answer have one, else boxes.

        Raises:
            InvalidInputError: what is wrong, where, and what was expected.
        """
        height, width = output["size"]
        found = objects(given, (height, width))
        asked = all(one["mask"] is not None for one in output["instances"])
        masks = [mask for mask, _ in found if mask is not None]
        if asked and len(masks) == len(found):
            return {"masks": masks}
        return {"boxes": [box for _, box in found]}

    def right(self, answer: Any, truth: Any) -> bool | None:
        """Return None: masks are more or less right."""
        return None

    def quality(self, pairs: Sequence[tuple[Any, Any]]) -> dict[str, float]:
        """Return `ap` (IoU 0.50 to 0.95) and `ap50` of the masks, `box_ap` and `box_ap50` of boxes.

        Pictures without any object lower them by what was found there; without one object in all
        of the pictures there is no such measure.
        """
        measures: dict[str, float] = {}
        for kind, name in ((_SEGMENTS, "ap"), (_BOXES, "box_ap")):
            of_kind = [pair for pair in pairs if _KEYS[kind] in pair[1]]
            found = _precision(of_kind, kind)
            if found is not None:
                measures |= {name: found[0], f"{name}50": found[1]}
        return measures


def _precision(pairs: Sequence[tuple[Any, Any]], kind: str) -> tuple[float, float] | None:
    """Return AP and AP50 over pictures; None where no object is in any of them."""
    truth = [one for number, pair in enumerate(pairs, 1) for one in _truths(number, pair, kind)]
    if not truth:
        return None
    found = [one for number, pair in enumerate(pairs, 1) for one in _found(number, pair, kind)]
    if not found:  # COCO's loader refuses an empty list
        return 0.0, 0.0
    from pycocotools import coco, cocoeval  # type: ignore[import-untyped,unused-ignore]

    for module in (coco, cocoeval):
        # They print; to turn standard output away would turn away that of other threads too.
        vars(module)["print"] = _silent
    known = coco.COCO()
    known.dataset = {
        "info": {},
        "images": [
            {"id": number, "height": answer["size"][0], "width": answer["size"][1]}
            for number, (answer, _) in enumerate(pairs, 1)
        ],
        "annotations": [{**one, "id": number} for number, one in enumerate(truth, 1)],
        "categories": [{"id": 1, "name": "object"}],
    }
    known.createIndex()
    run = cocoeval.COCOeval(known, known.loadRes(found), kind)
    run.evaluate()
    run.accumulate()
    # [thresholds, recalls, categories, areas, objects a picture]; -1 where there is no truth.
    precision = run.eval["precision"][:, :, 0, _ALL_AREAS, _ALL_OBJECTS]
    return float(precision.mean()), float(precision[_AT_HALF].mean())


def _truths(image: int, pair: tuple[Any, Any], kind: str) -> list[dict[str, Any]]:
    answer, truth = pair
    return [
        {**_shape(one, answer["size"], kind), "image_id": image, "category_id": 1, "iscrowd": 0}
        for one in truth[_KEYS[kind]]
    ]


def _found(image: int, pair: tuple[Any, Any], kind: str) -> list[dict[str, Any]]:
    answer, _ = pair
    return [
        {**_shape(one, answer["size"], kind), "image_id": image, "category_id": 1, "score": score}
        for one, score in zip(answer[_KEYS[kind]], answer["scores"], strict=True)
    ]


def _shape(one: Any, size: list[int], kind: str) -> dict[str, Any]:
    """Return a mask or a box in COCO's words."""
    from pycocotools import mask as coco

    if kind == _SEGMENTS:
        rle = {"size": size, "counts": one.encode("ascii")}
        return {"segmentation": rle, "area": float(coco.area(rle)), "bbox": list(coco.toBbox(rle))}
    x0, y0, x1, y1 = one
    return {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}


def _silent(*_: Any) -> None:
    pass
