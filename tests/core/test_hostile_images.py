"""Hostile pictures: refused by their header, in milliseconds, with a reason."""

import contextlib
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from services.core.errors import InvalidInputError, PayloadTooLargeError, UnsupportedMediaError
from services.core.images import ImageLimits, decode_image
from tests.support.pictures import blobs_as, chunk, encoded, large_webp, noise, png, tall_png

LIMITS = ImageLimits(24_000_000, 10_000)
JPEG = encoded(Image.fromarray(noise()), "JPEG")
PROGRESSIVE = encoded(Image.fromarray(noise()), "JPEG", progressive=True)
PNG = encoded(Image.fromarray(noise()), "PNG")
WEBP = encoded(Image.fromarray(noise()), "WEBP")


def refusal(data: bytes) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        decode_image(data, LIMITS)
    return caught.value


def jpeg_of(width: int, height: int, bits: int = 8) -> bytes:
    """A JPEG whose frame claims a size of its own."""
    frame = JPEG.index(b"\xff\xc0")
    return JPEG[: frame + 4] + struct.pack(">BHH", bits, height, width) + JPEG[frame + 9 :]


def many_scans(count: int) -> bytes:
    last = PROGRESSIVE.rindex(b"\xff\xda")
    return PROGRESSIVE[:-2] + PROGRESSIVE[last:-2] * count + PROGRESSIVE[-2:]


BOMBS: dict[str, Callable[[], bytes]] = {
    "25 megapixels in 1 kB": large_webp,
    "1 x 24,000,000": tall_png,
    "65,535 x 65,535 JPEG": lambda: jpeg_of(65535, 65535),
    "PNG of 2^31 pixels a side": lambda: png(2**31 - 1, 2**31 - 1, zlib.compress(b"\0")),
    "deep colours": lambda: png(5000, 4000, zlib.compress(b"\0"), depth=16, colour=6),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_never_unpacked(name: str) -> None:
    data = BOMBS[name]()
    started = time.process_time()
    with pytest.raises(PayloadTooLargeError):
        decode_image(data, LIMITS)
    assert time.process_time() - started < 0.05


@pytest.mark.parametrize(
    "data", [JPEG, PROGRESSIVE, PNG, WEBP], ids=["jpeg", "prog", "png", "webp"]
)
@pytest.mark.parametrize("kept", [0.05, 0.3, 0.7, 0.99, -1])
def test_a_truncated_file_is_called_so(data: bytes, kept: float) -> None:
    end = -1 if kept == -1 else int(len(data) * kept)
    assert "cut off" in refusal(data[:end]).message


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (jpeg_of(0, 64), "no pixels"),
        (jpeg_of(96, 0), "no pixels"),
        (jpeg_of(96, 64, bits=12), "12 bits"),
        (JPEG.replace(b"\xff\xc0", b"\xff\xc9", 1), "arithmetic"),
        (many_scans(40), "scans"),
        (JPEG[:2] + b"\xff\xfe\x00\x02" * 3000 + JPEG[2:], "segments"),
        (JPEG[:2] + b"\xff\xfe\x00\x00" + JPEG[2:], "no length"),
        (b"\xff\xd8\xff\xd9" + JPEG[2:], "ends before"),
        (png(8, 8, b""), "cannot be decoded"),
        (png(8, 8, b"not zlib"), "cannot be decoded"),
        (png(8, 8, zlib.compress(bytes(20))), "cannot be decoded"),
        (png(8, 8, zlib.compress(bytes(72)), colour=7), "colour type"),
        (png(8, 8, zlib.compress(bytes(72)), depth=7), "cannot be decoded"),
        (PNG[:8] + PNG[8:16].replace(b"IHDR", b"IHDX") + PNG[16:], "begin with its header"),
        (WEBP.replace(b"\x9d\x01\x2a", b"\x00\x00\x00", 1), "start code"),
        (WEBP.replace(b"VP8 ", b"VP9 ", 1), "not a picture"),
    ],
)
def test_a_damaged_file_says_how(data: bytes, reason: str) -> None:
    assert reason in refusal(data).message


def test_a_moderate_number_of_scans_is_fine() -> None:
    assert decode_image(many_scans(10), LIMITS).shape == (64, 96, 3)


def test_endless_padding() -> None:
    started = time.process_time()
    assert "cut off" in refusal(JPEG[:2] + b"\xff" * 10_000_000).message
    assert "filling" in refusal(JPEG[:2] + b"\xff" * 10_000_000 + JPEG[2:]).message
    assert decode_image(JPEG[:2] + b"\xff\xff" + JPEG[2:], LIMITS).shape == (64, 96, 3)
    assert time.process_time() - started < 0.5


def test_metadata_is_never_unpacked() -> None:
    """Each of these text chunks unpacks into 8 MB; OpenCV alone takes 3 s for 200 of them."""
    packed = zlib.compress(bytes(7_900_000), 9)
    texts = [chunk(b"zTXt", b"k%d\0\0" % number + packed) for number in range(200)]
    data = PNG[:33] + b"".join(texts) + PNG[33:]
    started = time.process_time()
    assert decode_image(data, LIMITS).shape == (64, 96, 3)
    assert time.process_time() - started < 0.2


def test_an_exif_directory_that_points_to_itself_is_not_followed() -> None:
    """Thousands of entries that each claim all 10 MB of the block."""
    entries = b"".join(
        struct.pack("<HHII", tag, 7, 10_000_000, 0) for tag in range(0x200, 0x200 + 60_000)
    )
    block = b"II*\0" + struct.pack("<IH", 8, 60_000) + entries + bytes(10_000_000)
    data = PNG[:33] + chunk(b"eXIf", block) + PNG[33:]
    started = time.process_time()
    assert decode_image(data, LIMITS).shape == (64, 96, 3)
    assert time.process_time() - started < 0.2


def test_many_chunks() -> None:
    tiny = struct.pack(">I", 0) + b"teXt" + struct.pack(">I", zlib.crc32(b"teXt"))
    assert "chunks" in refusal(PNG[:33] + tiny * 60_000 + PNG[33:]).message


def test_a_frame_larger_than_its_canvas() -> None:
    """An extended WEBP that claims 10 x 10 pixels around a frame of 5000 x 5000."""
    frame = large_webp()[12:]
    canvas = struct.pack("<4sIB3x", b"VP8X", 10, 0) + (9).to_bytes(3, "little") * 2
    body = b"WEBP" + canvas + frame
    started = time.process_time()
    refusal(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert time.process_time() - started < 0.2


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (blobs_as("GIF"), "GIF"),
        (blobs_as("BMP"), "BMP"),
        (blobs_as("TIFF"), "TIFF"),
        (b"\0\0\0\x1cftypavif" + bytes(20), "AVIF"),
        (b"\0\0\0\x1cftypheic" + bytes(20), "HEIC"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04" + bytes(30), "ZIP"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"  <!DOCTYPE html><title>x</title>", "HTML"),
        (b'{"image": 1}', "JSON"),
        (b"just words", "text"),
        (b"RIFF\x04\0\0\0WAVE", "RIFF"),
        (bytes(100), "no known kind"),
    ],
)
def test_what_was_found_is_named(data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedMediaError, match=name) as caught:
        decode_image(data, LIMITS)
    assert caught.value.expected == "a JPEG, PNG or WEBP picture"


def test_mutated_files_only_ever_fail_in_our_own_words() -> None:
    chance = random.Random(7)
    seeds = [JPEG, PROGRESSIVE, PNG, WEBP, encoded(Image.fromarray(noise(channels=4)), "PNG")]
    for _ in range(3000):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice([1, 2, 8])):
            data[chance.randrange(min(len(data), chance.choice([64, len(data)])))] = (
                chance.randrange(256)
            )
        # Anything but our own error fails the test.
        with contextlib.suppress(InvalidInputError):
            decode_image(bytes(data), LIMITS)


def test_the_largest_picture_takes_little_memory() -> None:
    """24 megapixels with transparency, the costliest way through, in a process of its own."""
    script = (
        "import resource, sys, zlib\n"
        "from services.core.images import ImageLimits, decode_image\n"
        "from tests.support.pictures import png\n"
        "data = png(6000, 4000, zlib.compress(bytes(4000 * 24001), 1), colour=6)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        # What making the file took must not hide what reading it takes.
        "open('/proc/self/clear_refs', 'w').write('5')\n"
        "import re\n"
        "status = lambda key: int(re.search(key + r':\\s+(\\d+)', "
        "open('/proc/self/status').read())[1])\n"
        "before = status('VmRSS')\n"
        "decode_image(data, ImageLimits(24_000_000, 10_000))\n"
        "print((status('VmHWM') - before) // 1024)\n"
    )
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("needs Linux's peak memory of a process")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) < 300
