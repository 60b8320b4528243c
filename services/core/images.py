"""Decode an uploaded picture safely and the same way every time.

The result is what a person sees: upright (EXIF orientation applied, once), in colour, 8 bits a
channel, BGR as OpenCV and Detectron2 order it. Plain files go through OpenCV, the others
through Pillow; both use the same codecs, and for plain files both give the same bytes.

Decisions: transparent pixels are laid on white; of 16 bits the upper 8 are kept, which scales
the full range; of an animation the first frame counts; colour profiles are ignored, as
Detectron2 does, and so is the orientation that only XMP states, as browsers do.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.core.errors import InvalidInputError, PayloadTooLargeError, SlipwayError
from services.core.image_headers import read_header
from services.core.image_headers.kinds import Header, damaged, received, truncated

Pixels = NDArray[np.uint8]

_FORMATS = ("JPEG", "PNG", "WEBP")
# Rows handled at once on the slow path, so that it needs little memory beside the result.
_STRIP_ROWS = 64
_USUAL_BYTES = 4
_TRANSPARENT = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
_SIXTEEN_BIT = frozenset({"I;16", "I;16B", "I;16L", "I"})


class HasImageLimits(Protocol):
    """Settings that carry the limits."""

    @property
    def max_image_pixels(self) -> int: ...  # noqa: D102
    @property
    def max_image_side(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Largest picture that is decoded: width times height, and the longest side, in pixels."""

    max_pixels: int
    max_side: int

    @classmethod
    def from_settings(cls, settings: HasImageLimits) -> "ImageLimits":
        """Take the limits from MAX_IMAGE_PIXELS and MAX_IMAGE_SIDE."""
        return cls(settings.max_image_pixels, settings.max_image_side)


def decode_image(data: bytes, limits: ImageLimits) -> Pixels:
    """Decode a JPEG, PNG or WEBP file into an upright BGR picture, uint8 [H, W, 3].

    Raises:
        UnsupportedMediaError: the bytes are no JPEG, PNG or WEBP, whatever they were called.
        PayloadTooLargeError: more pixels or a longer side than `limits`; nothing was decoded.
        InvalidInputError: empty, truncated or damaged.
    """
    try:
        header = read_header(data)
        check_size(header, limits)
        return _upright(_pixels(header), header.orientation)
    except InvalidInputError as error:
        error.received = error.received or received(data)
        raise


def _pixels(header: Header) -> Pixels:
    if header.decoder == "other":
        pixels = _decode_with_pillow(header.essence)
    else:
        pixels = _decode(header.essence, alpha=header.decoder == "alpha")
    if pixels.shape[:2] != (header.height, header.width):
        raise damaged("its size differs from what its header says")
    return pixels


def check_size(header: Header, limits: ImageLimits) -> None:
    """Refuse a picture beyond the limits by what its header claims.

    A pixel of more than 4 bytes (16 bits in three channels or four) counts for as many pixels
    as it fills, for it takes that much longer to unpack.
    """
    width, height, size = header.width, header.height, header.bytes_per_pixel
    weight = max(1.0, size / _USUAL_BYTES)
    if width * height * weight <= limits.max_pixels and max(width, height) <= limits.max_side:
        return
    deep = f" of {size} bytes" if weight > 1 else ""
    most = int(limits.max_pixels / weight)
    raise PayloadTooLargeError(
        f"The picture has {width} x {height} pixels{deep}.",
        where="file",
        expected=f"at most {most} pixels{deep}, and {limits.max_side} on the longest side",
    )


def _decode(data: bytes, *, alpha: bool) -> Pixels:
    colour = cv2.IMREAD_UNCHANGED if alpha else cv2.IMREAD_COLOR
    # Orientation is ours to apply, so that it happens once for every format.
    flags = colour | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.dtype != np.uint8 or pixels.ndim != 3:
        raise damaged("it cannot be decoded")
    decoded = np.asarray(pixels, dtype=np.uint8)
    if decoded.shape[2] == 3:
        return decoded
    return _in_strips(decoded.shape[:2], lambda top, bottom: _on_white(decoded[top:bottom]))


def _decode_with_pillow(data: bytes) -> Pixels:
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            picture.load()
            return _pillow_to_bgr(picture)
    except SlipwayError:
        raise
    # Decoders of hostile bytes raise nearly anything: SyntaxError, struct.error, ValueError ...
    except Exception as error:
        if "truncated" in str(error):
            raise truncated() from error
        raise damaged("it cannot be decoded") from error


def _in_strips(size: tuple[int, ...], convert: Callable[[int, int], Pixels]) -> Pixels:
    """Build a BGR picture of (height, width) from strips, to need little memory beside it."""
    height, width = size
    result = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, height)
        result[top:bottom] = convert(top, bottom)
    return result


def _pillow_to_bgr(picture: Image.Image) -> Pixels:
    width, height = picture.size

    def convert(top: int, bottom: int) -> Pixels:
        strip = picture.crop((0, top, width, bottom))
        # A crop forgets which palette entry or colour is transparent.
        if "transparency" in picture.info:
            strip.info["transparency"] = picture.info["transparency"]
        if strip.mode in _SIXTEEN_BIT:
            strip = Image.fromarray((np.asarray(strip) >> 8).astype(np.uint8))
        if strip.mode in _TRANSPARENT or "transparency" in strip.info:
            return _on_white(np.asarray(strip.convert("RGBA"))[:, :, [2, 1, 0, 3]])
        return np.asarray(strip.convert("RGB"))[:, :, ::-1]

    return _in_strips((height, width), convert)


def _on_white(strip: Pixels) -> Pixels:
    """Lay BGRA pixels [H, W, 4] on white, rounding to nearest."""
    *colours, alpha = cv2.split(strip)
    # white - alpha * (white - colour), plane by plane: five times as fast as in NumPy.
    laid = [
        cv2.bitwise_not(cv2.multiply(cv2.bitwise_not(colour), alpha, scale=1 / 255))
        for colour in colours
    ]
    return np.asarray(cv2.merge(laid), dtype=np.uint8)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation. The values mirror, rotate, or both (EXIF 2.32, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        pixels = np.asarray(cv2.transpose(pixels), dtype=np.uint8)
    # Flip codes of OpenCV: 1 left to right, 0 upside down, -1 both.
    code = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if code is None else np.asarray(cv2.flip(pixels, code), dtype=np.uint8)
