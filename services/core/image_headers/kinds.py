"""Which kinds of file there are, how to tell them, and how to refuse them."""

from dataclasses import dataclass
from typing import Literal

from services.core.errors import InvalidInputError
from services.core.received import counted

Format = Literal["jpeg", "png", "webp"]
Decoder = Literal["plain", "alpha", "other"]

ACCEPTED = "a JPEG, PNG or WEBP picture"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Kinds that people send by mistake, named in the answer.
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftyp", "MP4 video"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cjP", "JPEG 2000"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%PDF", "PDF"),
    (0, b"PK\x03\x04", "ZIP archive"),
    (0, b"\x1f\x8b", "gzip archive"),
    (0, b"RIFF", "RIFF, but not WEBP"),
)


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture claims to be.

    Attributes:
        format: the real kind of the file.
        width, height: in pixels, as stored (before any rotation).
        decoder: `plain` has grey or colour, one frame, nothing transparent; `alpha` has an
            alpha channel of 8 bits as well; all else (CMYK, an animated WEBP, transparent
            grey, 16-bit alpha) is `other`.
        bytes_per_pixel: what unpacking one pixel takes, at least 1.
        orientation: EXIF's, 1 to 8.
        essence: the file without its metadata; all that a decoder may see.
    """

    format: Format
    width: int
    height: int
    decoder: Decoder
    bytes_per_pixel: int
    orientation: int
    essence: bytes


def sniff(data: bytes) -> Format | None:
    """Return the accepted format that the first bytes show, or None."""
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if data[:8] == PNG_SIGNATURE:
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return None


def describe(data: bytes) -> str:
    """Name the kind of file that is not accepted, as far as it can be told."""
    for offset, magic, name in _OTHERS:
        if data[offset : offset + len(magic)] == magic:
            return name
    start = data[:256].lstrip().lower()
    if b"<svg" in start:
        return "SVG"
    if start.startswith((b"<!doctype html", b"<html")):
        return "HTML"
    if start.startswith((b"{", b"[")):
        return "JSON"
    if start and all(byte >= 32 or byte in b"\t\r\n" for byte in start):
        return "text"
    return "of no known kind"


def received(data: bytes) -> str:
    """Say what file came: `PNG, 120 bytes`; nothing of what is in it."""
    kind = sniff(data)
    if kind is not None:
        name = kind.upper()
    else:
        name = describe(data) if data else "a file"
        name = "a file" if name == "of no known kind" else name
    return f"{name}, {counted(len(data), 'byte')}"


def damaged(what: str) -> InvalidInputError:
    """Return the error for a file whose contents do not make sense."""
    return InvalidInputError(f"The picture is damaged: {what}.", where="file", expected=ACCEPTED)


def truncated() -> InvalidInputError:
    """Return the error for a file that ends too early."""
    return InvalidInputError(
        "The picture is cut off: its end is missing.", where="file", expected="the complete file"
    )


def check_area(width: int, height: int) -> None:
    """Refuse a picture without pixels."""
    if width < 1 or height < 1:
        raise damaged("it claims to have no pixels")
