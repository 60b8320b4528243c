"""What people say would have been right about a picture: masks, polygons or boxes, checked.

Nothing unchecked reaches pycocotools, whose C code trusts what it is given.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from services.core.errors import InvalidInputError
from services.core.received import counted, describe

# Objects in one picture, and polygons of one object.
MOST_OBJECTS = 500
_MOST_POLYGONS = 200
_BITS, _MORE, _SIGN = 0x1F, 0x20, 0x10
_LONGEST_NUMBER = 7
# What COCO's annotations hold besides.
_IGNORED = frozenset({"id", "image_id", "category_id", "label", "area", "score", "iscrowd"})
_OBJECTS = "a list of the objects in the picture, [] for none"
_SHAPE = (
    'an object with one of: "mask" (COCO RLE: size, counts), "polygons" or "segmentation"'
    ' ([[x, y, x, y, …], …]), "box" ([x0, y0, x1, y1]), "bbox" ([x, y, width, height])'
)

Size = tuple[int, int]
Box = list[float]


def objects(given: Any, size: Size) -> list[tuple[str | None, Box]]:
    """Return the objects as (compressed run lengths or None, box x0, y0, x1, y1).

    Args:
        given: JSON values, as they came.
        size: height and width of the picture.

    Raises:
        InvalidInputError: what is wrong, where (`expected[2].polygons[0]`), and what was expected.
    """
    if not isinstance(given, list):
        raise _refused("This is no list of objects.", "expected", _OBJECTS, given)
    if len(given) > MOST_OBJECTS:
        raise InvalidInputError(
            "There are too many objects.",
            where="expected",
            expected=f"at most {MOST_OBJECTS}",
            received=counted(len(given), "object"),
        )
    return [_object(one, f"expected[{number}]", size) for number, one in enumerate(given)]


def _object(one: Any, where: str, size: Size) -> tuple[str | None, Box]:
    if isinstance(one, Mapping) and {"size", "counts"} <= one.keys():
        one = {"mask": one}
    if not isinstance(one, Mapping) or one.keys() - _IGNORED - _READERS.keys():
        raise _refused("This is no object of a picture.", where, _SHAPE, one)
    if one.get("iscrowd"):
        raise _refused("Crowds are not counted.", f"{where}.iscrowd", "0", one["iscrowd"])
    name = next((name for name in _READERS if name in one), None)
    if name is None:
        raise _refused("This object has no shape.", where, _SHAPE, one)
    return _READERS[name](one[name], f"{where}.{name}", size)


def _segmentation(value: Any, where: str, size: Size) -> tuple[str, Box]:
    reader = _rle if isinstance(value, Mapping) else _polygons
    return reader(value, where, size)


def _rle(value: Any, where: str, size: Size) -> tuple[str, Box]:
    height, width = size
    expected = f"size [{height}, {width}], and counts whose runs fill it"
    if not isinstance(value, Mapping) or value.keys() != {"size", "counts"}:
        raise _refused("This is no run-length mask.", where, expected, value)
    if value["size"] != [height, width]:
        raise _refused("The mask is not of this picture's size.", f"{where}.size", expected, value)
    found = value["counts"]
    runs: Any = unpacked(found) if isinstance(found, str) else found
    whole = isinstance(runs, list) and all(type(run) is int and run >= 0 for run in runs)
    if not whole or sum(runs) != height * width:
        raise _refused(
            "The runs are not those of this picture.", f"{where}.counts", expected, value
        )
    from pycocotools import mask as coco

    packed = coco.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    return _with_box(packed)


def unpacked(text: str) -> list[int] | None:
    """Return the run lengths that COCO's compressed `counts` say; None where it says none.

    Source: `rleFrString` of pycocotools, which looks beyond the end of a text that is cut off.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift >= 5 * _LONGEST_NUMBER:
            return None
        value |= (bits & _BITS) << shift
        shift += 5
        if bits & _MORE:
            continue
        if bits & _SIGN:
            value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return None if shift else runs


def _polygons(value: Any, where: str, size: Size) -> tuple[str, Box]:
    height, width = size
    expected = f"lists of x, y, x, y, … within {width} x {height}, three points at least"
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_POLYGONS:
        raise _refused("These are no polygons.", where, expected, value)
    for number, polygon in enumerate(value):
        # Beyond the picture its C code would walk along every pixel of the way.
        fine = isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0
        if not fine or not all(
            _between(at, width if place % 2 == 0 else height) for place, at in enumerate(polygon)
        ):
            raise _refused("This is no polygon.", f"{where}[{number}]", expected, polygon)
    from pycocotools import mask as coco

    return _with_box(coco.merge(coco.frPyObjects(value, height, width)))


def _box(value: Any, where: str, size: Size) -> tuple[None, Box]:
    height, width = size
    limits = (width, height, width, height)
    fine = isinstance(value, list) and len(value) == len(limits)
    if (
        not fine
        or not all(map(_between, value, limits))
        or not (value[0] < value[2] and value[1] < value[3])
    ):
        expected = f"[x0, y0, x1, y1] in pixels, within {width} x {height}"
        raise _refused("This is no box.", where, expected, value)
    return None, [float(at) for at in value]


def _coco_box(value: Any, where: str, size: Size) -> tuple[None, Box]:
    if isinstance(value, list) and len(value) == 4 and all(_between(at, 1e6) for at in value):
        x, y, width, height = value
        # Halves of a pixel that COCO's own files round away.
        right, lower = min(x + width, size[1]), min(y + height, size[0])
        return _box([x, y, right, lower], where, size)
    raise _refused("This is no box.", where, "[x, y, width, height] in pixels", value)


# In this order: an annotation of COCO's has both a segmentation and a bbox.
_READERS: dict[str, Callable[[Any, str, Size], tuple[str | None, Box]]] = {
    "mask": _rle,
    "polygons": _polygons,
    "segmentation": _segmentation,
    "box": _box,
    "bbox": _coco_box,
}


def _with_box(packed: Mapping[str, Any]) -> tuple[str, Box]:
    from pycocotools import mask as coco

    x, y, width, height = (float(at) for at in coco.toBbox(packed))
    return packed["counts"].decode("ascii"), [x, y, x + width, y + height]


def _between(value: Any, most: float) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 <= value <= most


def _refused(message: str, where: str, expected: str, came: Any) -> InvalidInputError:
    return InvalidInputError(message, where=where, expected=expected, received=describe(came))
