"""The `input` of a prediction that is made later: refused at once as far as that is cheap."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from services.core.encoded_picture import encoded_picture
from services.core.errors import InvalidInputError
from services.core.image_headers import read_header
from services.core.image_headers.kinds import received
from services.core.images import ImageLimits, check_size
from services.core.received import describe
from services.engine.messages import PredictRequest
from services.families.base import Family, Picture
from services.families.cutler.schema import SegmentationInput
from services.gateway.dependencies import get_engine, get_families, get_settings
from services.gateway.rows import PICTURE
from services.gateway.served import family_of
from services.gateway.uploads import check_bytes

_SEGMENTATION = "instance-segmentation"
_PARTS = frozenset({"image", "masks"})
_PICTURES = ("image", "file", "b64", "image_bytes", "data")
_OPTIONS = ("threshold", "include")
_DATA_URL = re.compile(r"data:[^,]{0,100};base64,")
# Beyond it (bytes) reading a header may take milliseconds.
_SMALL = 64 * 1024


async def family_for(request: Request, asked: PredictRequest) -> Family | None:
    """Return the family of the model that is asked for; its files are looked at if need be.

    Raises:
        SlipwayError: there is no such model or version, or its files cannot be had.
    """
    families = get_families(request)
    found = family_of(get_engine(request), families, asked.model)
    if found is None:
        described = await get_engine(request).elsewhere.described(asked)
        found = families.get(described.info.family)
    return found


async def payload_of(request: Request, family: Family | None, given: dict[str, Any]) -> Any:
    """Return the payload that an `input` stands for: itself, or the picture in it.

    Raises:
        InvalidInputError: there is no picture where the model takes one, or it is damaged.
        UnsupportedMediaError, PayloadTooLargeError: as the synchronous routes say it.
    """
    if family is None or family.takes != PICTURE:
        return given
    segmenter = family.task == _SEGMENTATION
    known = (*_PICTURES, *(_OPTIONS if segmenter else ()))
    if not given.keys() <= set(known):
        raise InvalidInputError(
            "The input has a field that is not known.",
            where="input",
            expected=f"image (base64){', threshold, include' if segmenter else ''}",
            received=describe(given),
        )
    data = encoded_picture(_without_prefix(given), "input.image")
    await check_picture(request, data, "input.image")
    if not segmenter:
        return Picture(data)
    wanted = _parts(given.get("include", "image,masks"))
    return SegmentationInput(
        data,
        threshold=_threshold(given.get("threshold")),
        want_image="image" in wanted,
        want_masks="masks" in wanted,
    )


async def check_picture(request: Request, data: bytes, where: str) -> None:
    """Refuse a file by its first bytes and its header, as decoding it would.

    Raises:
        InvalidInputError: it is empty, damaged or cut off.
        UnsupportedMediaError: it is no JPEG, PNG or WEBP.
        PayloadTooLargeError: it has too many pixels.
    """
    check_bytes(data, where)
    limits = ImageLimits.from_settings(get_settings(request))

    def look() -> None:
        check_size(read_header(data), limits)

    try:
        if len(data) <= _SMALL:
            look()
        else:
            await asyncio.to_thread(look)
    except InvalidInputError as error:
        error.where = where
        error.received = error.received or received(data)
        raise


def _without_prefix(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input with data: URLs cut down to their base64."""
    found = dict(given)
    for name in _PICTURES:
        value = found.get(name)
        if isinstance(value, str):
            prefix = _DATA_URL.match(value)
            found[name] = value[prefix.end() :] if prefix else value
    return found


def _threshold(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise InvalidInputError(
        "input.threshold is not accepted.",
        where="input.threshold",
        expected="a number from 0 to 1",
        received=describe(value),
    )


def _parts(value: Any) -> set[str]:
    parts = value.split(",") if isinstance(value, str) else value
    if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
        found = {part.strip() for part in parts} - {""}
        if found <= _PARTS:
            return found
    raise InvalidInputError(
        "input.include is not accepted.",
        where="input.include",
        expected="image, masks, both with a comma, or empty for neither",
        received=describe(value),
    )
