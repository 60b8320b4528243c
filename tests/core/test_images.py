"""Decoding: every kind of picture becomes the upright BGR picture that a person sees."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from services.core.errors import (
    InvalidInputError,
    PayloadTooLargeError,
    UnsupportedMediaError,
)
from services.core.images import ImageLimits, decode_image
from tests.support.pictures import encoded, noise

LIMITS = ImageLimits(24_000_000, 10_000)
Pixels = NDArray[np.uint8]


def by_pillow(data: bytes) -> Pixels:
    """What Detectron2 reads: Pillow, upright, RGB, then BGR."""
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))[:, :, ::-1]


def decode(data: bytes) -> Pixels:
    pixels = decode_image(data, LIMITS)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    return pixels


PLAIN: list[tuple[str, str, dict[str, Any]]] = [
    ("RGB", "JPEG", {"quality": 90, "subsampling": 0}),
    ("RGB", "JPEG", {"quality": 75, "subsampling": 2}),
    ("RGB", "JPEG", {"quality": 90, "progressive": True}),
    ("RGB", "JPEG", {"quality": 90, "keep_rgb": True}),
    ("L", "JPEG", {"quality": 90}),
    ("RGB", "PNG", {}),
    ("L", "PNG", {}),
    ("1", "PNG", {}),
    ("P", "PNG", {}),
    ("RGB", "WEBP", {"quality": 80}),
    ("RGB", "WEBP", {"lossless": True}),
]


@pytest.mark.parametrize(("mode", "kind", "options"), PLAIN)
def test_a_plain_file_is_read_exactly_as_by_pillow(
    mode: str, kind: str, options: dict[str, Any]
) -> None:
    data = encoded(Image.fromarray(noise()).convert(mode), kind, **options)
    assert np.array_equal(decode(data), by_pillow(data))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_applied_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(noise(48, 80)), kind, exif=exif, **options)
    upright = decode(data)
    assert upright.shape[:2] == ((80, 48) if orientation >= 5 else (48, 80))
    assert np.array_equal(upright, by_pillow(data))


def test_an_upright_phone_photo_shows_its_top_at_the_top() -> None:
    """Orientation 6 means: turn by 90 degrees clockwise. No library is asked for its opinion."""
    sideways = np.zeros((40, 60, 3), np.uint8)
    sideways[:, :10] = 255  # what the camera held to the left was the bottom of the scene
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = decode(encoded(Image.fromarray(sideways), "PNG", exif=exif))
    assert upright.shape == (60, 40, 3)
    assert upright[:10].min() == 255
    assert upright[10:].max() == 0


@pytest.mark.parametrize("exif", [b"Exif\x00\x00", b"Exif\x00\x00MM\x00*junk", b"nonsense" * 40])
def test_broken_metadata_does_not_cost_the_picture(exif: bytes) -> None:
    data = encoded(Image.fromarray(noise()), "JPEG", exif=exif)
    assert decode(data).shape == (64, 96, 3)


def test_sixteen_bit_grey_keeps_the_full_range() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(8, 0)
    pixels = decode(cv2.imencode(".png", ramp)[1].tobytes())
    assert np.array_equal(pixels[:, :, 0], (ramp >> 8).astype(np.uint8))
    assert np.array_equal(pixels[:, :, 0], pixels[:, :, 2])


def test_sixteen_bit_colour_keeps_the_full_range() -> None:
    wide = noise().astype(np.uint16) * 257
    pixels = decode(cv2.imencode(".png", wide)[1].tobytes())
    assert np.array_equal(pixels, noise())


def test_sixteen_bit_with_alpha() -> None:
    wide = np.dstack([noise(), np.full((64, 96), 255, np.uint8)]).astype(np.uint16) * 257
    pixels = decode(cv2.imencode(".png", wide)[1].tobytes())
    assert np.array_equal(pixels, noise())


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_is_laid_on_white(kind: str) -> None:
    rgba = noise(channels=4)
    rgba[:8, :, 3], rgba[8:16, :, 3] = 0, 255
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    pixels = decode(encoded(Image.fromarray(rgba), kind, **options)).astype(np.float64)
    alpha = rgba[:, :, 3:] / 255
    expected = rgba[:, :, 2::-1] * alpha + 255 * (1 - alpha)
    assert np.abs(pixels - expected).max() <= 0.51
    assert pixels[:8].min() == 255


def test_grey_with_alpha() -> None:
    grey = Image.fromarray(noise()).convert("L")
    half = Image.new("L", grey.size, 128)
    pixels = decode(encoded(Image.merge("LA", (grey, half)), "PNG"))
    expected = np.asarray(grey) * (128 / 255) + 127
    assert np.abs(pixels[:, :, 1] - expected).max() <= 0.51


@pytest.mark.parametrize(("mode", "colour"), [("P", 3), ("L", 100), ("RGB", (7, 7, 7)), ("1", 0)])
def test_one_transparent_colour_is_white(mode: str, colour: Any) -> None:
    original = noise()
    original[original < 128] = 7
    picture = Image.fromarray(original)
    picture = picture.quantize(16) if mode == "P" else picture.convert(mode)
    picture.putpixel((0, 0), colour)
    data = encoded(picture, "PNG", transparency=colour)
    pixels = decode(data)
    stored = np.asarray(picture).reshape(64, 96, -1)
    transparent = (stored == np.array(colour)).all(axis=2)
    assert transparent.any()
    assert pixels[transparent].min() == 255
    assert np.array_equal(pixels[~transparent], by_pillow(data)[~transparent])


def test_cmyk() -> None:
    original = noise()
    data = encoded(Image.fromarray(original).convert("CMYK"), "JPEG", quality=95)
    pixels = decode(data)
    assert np.array_equal(pixels, by_pillow(data))
    assert np.abs(pixels[:, :, ::-1].astype(int) - original).mean() < 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_the_first_frame_of_an_animation(kind: str) -> None:
    first, second = Image.fromarray(noise(seed=1)), Image.fromarray(noise(seed=2))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(first, kind, save_all=True, append_images=[second], **options)
    assert np.array_equal(decode(data)[:, :, ::-1], noise(seed=1))


def test_the_first_picture_of_a_phone_s_pair() -> None:
    first, second = Image.fromarray(noise(seed=1)), Image.fromarray(noise(seed=2))
    data = encoded(first, "MPO", save_all=True, append_images=[second], quality=95)
    assert np.array_equal(decode(data), by_pillow(data))


@pytest.mark.parametrize(("height", "width"), [(1, 300), (300, 1), (1, 1)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_single_row_column_or_pixel(kind: str, height: int, width: int) -> None:
    data = encoded(Image.new("RGB", (width, height), (200, 100, 50)), kind)
    assert decode(data).shape == (height, width, 3)


def test_the_limits_are_what_was_set() -> None:
    data = encoded(Image.fromarray(noise(64, 96)), "PNG")
    assert decode_image(data, ImageLimits(64 * 96, 96)).shape == (64, 96, 3)
    with pytest.raises(PayloadTooLargeError, match="96 x 64"):
        decode_image(data, ImageLimits(64 * 96 - 1, 96))
    with pytest.raises(PayloadTooLargeError, match="96 x 64"):
        decode_image(data, ImageLimits(64 * 96, 95))


def test_deep_pixels_count_for_more() -> None:
    data = cv2.imencode(".png", noise().astype(np.uint16))[1].tobytes()
    with pytest.raises(PayloadTooLargeError) as caught:
        decode_image(data, ImageLimits(64 * 96, 96))
    assert caught.value.expected == "at most 4096 pixels of 6 bytes, and 96 on the longest side"


def test_errors_are_all_of_one_kind() -> None:
    for data in (
        b"",
        b"GIF89a",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x00\x00\x00\x00WEBP",
    ):
        with pytest.raises(InvalidInputError) as caught:
            decode_image(data, LIMITS)
        assert caught.value.where == "file"
        assert caught.value.expected
    with pytest.raises(UnsupportedMediaError, match="GIF"):
        decode_image(b"GIF89a", LIMITS)
