"""Bad input: a 4xx that says what was wrong, where and what was expected, in milliseconds."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.pictures import blobs_as, large_webp, noise, tall_png

URL = "/process-image"
BOUNDARY = "multipart/form-data; boundary=xyz"


class Case(NamedTuple):
    """Keyword arguments of a post, and the answer to expect."""

    make: Callable[[], dict[str, Any]]
    status: int
    code: str
    where: str
    says: str


def file(data: bytes, label: str = "application/octet-stream") -> dict[str, Any]:
    return {"files": {"file": ("photo", data, label)}}


def raw(body: bytes, kind: str = BOUNDARY) -> dict[str, Any]:
    return {"content": body, "headers": {"Content-Type": kind}}


def part(name: str, body: bytes, extra: bytes = b"") -> bytes:
    head = b'--xyz\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n' % (name.encode(), extra)
    return head + body + b"\r\n"


PNG = blobs_as("PNG")
JPEG = blobs_as("JPEG")
FILE = part("file", PNG, b'; filename="a.png"')

CASES: dict[str, Case] = {
    "text": Case(lambda: file(b"hello"), 415, "unsupported_media_type", "file", "text"),
    "html": Case(lambda: file(b"<html>"), 415, "unsupported_media_type", "file", "HTML"),
    "gif": Case(lambda: file(blobs_as("GIF")), 415, "unsupported_media_type", "file", "GIF"),
    "lying label": Case(
        lambda: file(JPEG, "image/png"), 415, "unsupported_media_type", "file", "bytes are JPEG"
    ),
    "no image's label": Case(
        lambda: file(JPEG, "text/html"), 415, "unsupported_media_type", "file", "something else"
    ),
    "gif labelled png": Case(
        lambda: file(blobs_as("GIF"), "image/png"), 415, "unsupported_media_type", "file", "GIF"
    ),
    "truncated jpeg": Case(lambda: file(JPEG[:-50]), 422, "invalid_input", "file", "cut off"),
    "truncated png": Case(lambda: file(PNG[:-20]), 422, "invalid_input", "file", "cut off"),
    "truncated webp": Case(
        lambda: file(blobs_as("WEBP")[:-9]), 422, "invalid_input", "file", "cut off"
    ),
    "damaged png": Case(
        lambda: file(PNG[:60] + bytes(40) + PNG[100:]), 422, "invalid_input", "file", "decoded"
    ),
    "empty": Case(lambda: file(b""), 422, "invalid_input", "file", "empty"),
    "25 megapixels in 1 kB": Case(
        lambda: file(large_webp()), 413, "payload_too_large", "file", "5000 x 5000"
    ),
    "1 x 24,000,000": Case(
        lambda: file(tall_png()), 413, "payload_too_large", "file", "1 x 24000000"
    ),
    "file over the limit": Case(
        lambda: file(bytes(200_001)), 413, "payload_too_large", "file", "too large"
    ),
    "body over the limit": Case(
        lambda: file(bytes(300_000)), 413, "payload_too_large", "body", "too large"
    ),
    "wrong name": Case(
        lambda: {"files": {"photo": PNG}}, 422, "invalid_input", "file", "no field file"
    ),
    "text field": Case(
        lambda: raw(part("file", b"hi") + b"--xyz--\r\n"), 422, "invalid_input", "file", "is text"
    ),
    "empty form": Case(lambda: raw(b"--xyz--\r\n"), 422, "invalid_input", "file", "empty"),
    "no body": Case(dict, 415, "unsupported_media_type", "Content-Type", "not a multipart"),
    "json": Case(
        lambda: {"json": {"file": "x"}}, 415, "unsupported_media_type", "Content-Type", "multipart"
    ),
    "urlencoded": Case(
        lambda: {"data": {"file": "x"}}, 415, "unsupported_media_type", "Content-Type", "multipart"
    ),
    "the file as the body": Case(
        lambda: raw(PNG, "image/png"), 415, "unsupported_media_type", "Content-Type", "multipart"
    ),
    "two files": Case(
        lambda: {"files": [("file", PNG), ("file", PNG)]},
        400,
        "malformed_request",
        "body",
        "Too many files",
    ),
    "many fields": Case(
        lambda: {"files": {"file": PNG}, "data": {f"k{n}": "v" for n in range(9)}},
        400,
        "malformed_request",
        "body",
        "Too many fields",
    ),
    "a large field": Case(
        lambda: {"files": {"file": PNG}, "data": {"k": "v" * 5000}},
        400,
        "malformed_request",
        "body",
        "maximum size",
    ),
    "no boundary": Case(
        lambda: raw(FILE, "multipart/form-data"), 400, "malformed_request", "body", "boundary"
    ),
    "another boundary": Case(
        lambda: raw(FILE + b"--xyz--\r\n", "multipart/form-data; boundary=abc"),
        400,
        "malformed_request",
        "body",
        "cannot be read",
    ),
    "no end": Case(lambda: raw(FILE), 400, "malformed_request", "body", "cannot be read"),
    "cut in the middle": Case(
        lambda: raw(FILE[:200]), 400, "malformed_request", "body", "cannot be read"
    ),
    "no name": Case(
        lambda: raw(b"--xyz\r\nContent-Disposition: form-data\r\n\r\nx\r\n--xyz--\r\n"),
        400,
        "malformed_request",
        "body",
        "name",
    ),
    "nonsense": Case(lambda: raw(noise().tobytes()), 400, "malformed_request", "body", "read"),
}

QUERIES = {
    "threshold=2": "threshold",
    "threshold=-0.1": "threshold",
    "threshold=nan": "threshold",
    "threshold=inf": "threshold",
    "threshold=abc": "threshold",
    "threshold=": "threshold",
    "include=foo": "include",
    "include=image,": "include",
    "include=image;masks": "include",
    "include=image&include=image&include=image": "include",
}


def check_still_serving(client: httpx.Client) -> None:
    assert client.post(URL, files={"file": ("x.png", PNG)}).status_code == 200


@pytest.mark.parametrize("name", CASES)
def test_a_bad_body(client: httpx.Client, name: str) -> None:
    case = CASES[name]
    response = client.post(URL, **case.make())
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["where"]) == (
        case.status,
        case.code,
        case.where,
    )
    assert case.says in error["message"]
    assert error["expected"]
    assert error["request_id"] == response.headers["X-Request-ID"]
    check_still_serving(client)


@pytest.mark.parametrize("query", QUERIES)
def test_a_bad_parameter(client: httpx.Client, query: str) -> None:
    response = client.post(f"{URL}?{query}", files={"file": ("x.png", PNG)})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "invalid_input")
    assert error["where"].split(".")[0] == QUERIES[query]
    assert error["expected"]
    check_still_serving(client)


def test_what_the_caller_sent_is_not_sent_back(client: httpx.Client) -> None:
    secret = "SECRET-4711"
    answers = [
        client.post(URL, files={"file": (secret, b"x", f"text/{secret}")}),
        client.post(URL, files={secret: (secret, PNG)}),
        client.post(f"{URL}?threshold={secret}&include={secret}", files={"file": PNG}),
        client.get(f"/{secret}"),
        client.post(URL, content=secret.encode(), headers={"Content-Type": BOUNDARY}),
    ]
    assert all(400 <= answer.status_code < 500 for answer in answers)
    assert not [answer.text for answer in answers if secret.lower() in answer.text.lower()]


def test_refusals_take_milliseconds(client: httpx.Client) -> None:
    for name in ("25 megapixels in 1 kB", "1 x 24,000,000", "truncated jpeg", "lying label"):
        arguments = CASES[name].make()
        seconds = []
        for _ in range(10):
            started = time.perf_counter()
            client.post(URL, **arguments)
            seconds.append(time.perf_counter() - started)
        # The quickest: a busy machine can only add to it.
        assert min(seconds) < 0.1, name
