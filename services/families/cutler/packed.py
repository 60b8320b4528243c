"""What goes into the segmenter and what comes out, as JSON values and bytes."""

from collections.abc import Mapping
from typing import Any

from services.families.cutler.schema import Instance, Rle, Segmentation, SegmentationInput

_KIND, _SEGMENT = "kind", "segment"


def payload(asked: SegmentationInput) -> tuple[dict[str, Any], bytes]:
    """Return what is wanted of a picture, and its file."""
    about = {
        _KIND: _SEGMENT,
        "threshold": asked.threshold,
        "want_image": asked.want_image,
        "want_masks": asked.want_masks,
    }
    return about, asked.data


def payload_from(about: Mapping[str, Any], data: bytes) -> SegmentationInput | None:
    """Return what `payload` wrote; None: it was something else."""
    if about.get(_KIND) != _SEGMENT:
        return None
    return SegmentationInput(data, about["threshold"], about["want_image"], about["want_masks"])


def output(found: Segmentation) -> tuple[dict[str, Any], bytes | None]:
    """Return the objects with their masks, and the picture that was drawn, if it was."""
    return {"size": list(found.size), "instances": [*map(_instance, found.instances)]}, found.image


def output_from(about: Mapping[str, Any], data: bytes | None) -> Segmentation:
    """Return what `output` wrote."""
    height, width = about["size"]
    return Segmentation((height, width), tuple(map(_instance_from, about["instances"])), data)


def _instance(one: Instance) -> dict[str, Any]:
    mask = one.mask
    return {
        "box": list(one.box),
        "score": one.score,
        "area": one.area,
        "mask": None if mask is None else {"size": list(mask.size), "counts": mask.counts},
    }


def _instance_from(about: Mapping[str, Any]) -> Instance:
    x0, y0, x1, y1 = about["box"]
    mask = about["mask"]
    rle = None if mask is None else Rle((mask["size"][0], mask["size"][1]), mask["counts"])
    return Instance((x0, y0, x1, y1), about["score"], about["area"], rle)
