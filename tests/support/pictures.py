"""Pictures for tests, made on the spot."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode a picture with Pillow."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def blobs(height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    """A dark RGB picture with two bright squares, 30 x 30 and 20 x 20 pixels."""
    picture = np.full((height, width, 3), 20, np.uint8)
    picture[20:50, 30:60] = 250
    picture[80:100, 100:120] = 200
    return picture


def blobs_as(kind: str, **options: Any) -> bytes:
    """The two squares as a file of the given kind."""
    return encoded(Image.fromarray(blobs()), kind, **options)


def noise(height: int = 64, width: int = 96, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth coloured noise: no two pixels or corners are alike."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (height // 8, width // 8, channels), dtype=np.uint8)
    large = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return np.array(large)


def chunk(kind: bytes, body: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def png(width: int, height: int, pixels: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG whose header may claim anything about its packed `pixels`."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def tall_png() -> bytes:
    """A valid PNG of 1 x 24,000,000 pixels in about 46 kB."""
    return png(1, 24_000_000, zlib.compress(bytes(48_000_000), 9))


def large_webp() -> bytes:
    """A valid lossless WEBP of 5000 x 5000 pixels in a few bytes."""
    return encoded(Image.new("RGB", (5000, 5000), (9, 9, 9)), "WEBP", lossless=True, method=0)
