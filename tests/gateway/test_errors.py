"""Errors: one shape for all of them, and nothing in it that a caller should not see."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.core import errors
from services.core.errors import (
    ConfigurationError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    SlipwayError,
)
from services.core.metrics import Metrics
from services.gateway.direct import DirectRoutes
from services.gateway.error_shapes import Told, inference, own, scoring
from services.gateway.errors import STATUS, error_response, status_of
from services.gateway.middleware.guard import GuardMiddleware
from tests.gateway.conftest import MakeServer

FIELDS = {"code", "message", "where", "expected", "received", "help", "request_id"}
SCOPE = {"type": "http", "state": {"request_id": "r-1"}}


def test_an_address_that_is_not_there(client: httpx.Client) -> None:
    response = client.get("/nowhere")
    error = response.json()["error"]
    assert response.status_code == 404
    assert error["code"] == "not_found"
    assert set(error) == FIELDS
    assert error["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/process-image", "POST"),
        ("HEAD", "/process-image", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/", "GET, HEAD"),
        ("BREW", "/", "GET, HEAD"),
        ("OPTIONS", "/metrics", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_taken(
    client: httpx.Client, method: str, path: str, allow: str
) -> None:
    response = client.request(method, path)
    assert response.status_code in (405, 400 if method == "BREW" else 405)
    if response.status_code == 405:
        assert response.headers["Allow"] == allow
    if method != "HEAD":
        code = response.json()["error"]["code"]
        assert code in ("method_not_allowed", "malformed_request")


def test_a_slash_too_many_is_no_redirect(client: httpx.Client) -> None:
    assert client.get("/health/", headers={"Host": "evil.example"}).status_code == 404


def test_every_domain_error_has_a_status() -> None:
    classes = [
        cls
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, SlipwayError) and cls is not SlipwayError
    ]
    assert len(classes) >= 10
    for cls in classes:
        assert status_of(cls("x")) in {*STATUS.values(), 500}
    assert status_of(InvalidInputError("x")) == 422


def test_a_setting_is_not_shown_to_a_caller() -> None:
    response = error_response(ConfigurationError("/secret/path", where="MODEL_PATH"), SCOPE)
    assert response.status_code == 500
    assert b"secret" not in response.body
    assert b"MODEL_PATH" not in response.body
    assert b"r-1" in response.body


@pytest.mark.parametrize(("seconds", "header"), [(None, "1"), (0.2, "1"), (2.1, "3"), (60, "60")])
def test_retry_after_is_in_whole_seconds(seconds: float | None, header: str) -> None:
    response = error_response(OverloadedError("x", retry_after=seconds), SCOPE)
    assert response.headers["Retry-After"] == header


def test_what_nobody_foresaw_is_a_bare_500(make_server: MakeServer) -> None:
    server = make_server()
    app: FastAPI = server.app

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret of the house")

    response = server.client.get("/broken")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    # It passed through everything that any answer passes through.
    for header in ("X-Request-ID", "X-Process-Time", "X-Content-Type-Options"):
        assert header in response.headers
    assert 'route="/broken",status="500"' in server.client.get("/metrics").text
    assert server.client.get("/health/live").status_code == 200


PROTOCOLS = {
    "/v2": {"error"},
    "/v2/": {"error"},
    "/v2/models/a/infer": {"error"},
    "/v1/models/a:predict": {"error"},
    "/invocations": {"error_code", "message"},
    "/models/a/invocations": {"error_code", "message"},
    "/endpoints/a/invocations": {"error_code", "message"},
}


@pytest.mark.parametrize("path", PROTOCOLS)
def test_each_protocol_has_its_shape(client: httpx.Client, path: str) -> None:
    """Whoever answers: the router, the limit of bodies, or a route."""
    answers = [
        client.request("DELETE", path),
        client.post(path, content=bytes(300_000)),
        client.post(f"{path.rstrip('/')}/nowhere/invocations", content=b"{"),
    ]
    keys = PROTOCOLS[path]
    assert [answer.status_code for answer in answers[:2]] == [405, 413]
    for answer, expected in zip(answers, (keys, keys, {"error_code", "message"}), strict=True):
        body = answer.json()
        shape = {"error"} if path.startswith(("/v1", "/v2")) else expected
        assert set(body) == shape
        assert all(isinstance(value, str) for value in body.values())
        assert answer.headers["X-Request-ID"] in answer.text


@pytest.mark.parametrize("path", ["/v2/broken", "/broken/invocations", "/broken"])
def test_a_bare_500_has_its_protocols_shape(make_server: MakeServer, path: str) -> None:
    server = make_server()

    @server.app.get(path)
    async def broken() -> None:
        raise RuntimeError("secret of the house")

    response = server.client.get(path)
    assert response.status_code == 500
    assert "secret" not in response.text
    keys = {"/v2/broken": {"error"}, "/broken": {"error"}}
    assert set(response.json()) == keys.get(path, {"error_code", "message"})
    assert isinstance(response.json().get("error", ""), dict if path == "/broken" else str)


def _help(name: object, error: SlipwayError, **scope: Any) -> str | None:
    found = {"path": "/models/x/predict", "state": {"model": name, "request_id": "r-1"}, **scope}
    body = json.loads(bytes(error_response(error, {"type": "http", **found}).body))
    help_: str | None = body["error"]["help"]
    return help_


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ml_classifier", "/models/ml_classifier"),
        ("a/b?c#d", "/models/a%2Fb%3Fc%23d"),
        ('"\r\n<x>\x00', "/models/%22%0D%0A%3Cx%3E%00"),
        ("//evil.example", "/models/%2F%2Fevil.example"),
        ("ü", "/models/%C3%BC"),
        ("\ud800", "/models/%3F"),
        ("n" * 250, "/models/" + "n" * 250),
        ("n" * 251, None),
        ("", None),
        (None, None),
    ],
)
def test_help_is_a_path_of_ours(name: str | None, expected: str | None) -> None:
    headers = [(b"host", b"evil.example")]
    assert _help(name, InvalidInputError("x"), headers=headers) == expected


def test_where_help_gets_the_model_from() -> None:
    """The state of the request goes first, then the parameters of its path."""
    error = InvalidInputError("x")
    assert _help(None, error, path_params={"name": "a"}) == "/models/a"
    assert _help(None, error, path_params={"model": "a"}) == "/models/a"
    assert _help("b", error, path_params={"name": "a"}) == "/models/b"
    assert _help("b", NotFoundError("x", where="model")) == "/models"
    assert _help("b", NotFoundError("x", where="version")) == "/models/b"
    assert _help("b", ConfigurationError("x")) == "/models/b"


HOSTILE = ["", "a" * 100_000, "\x00\x1b[31m\r\nX: y", "ü\u2028", '{"error": "</script>']


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_can_be_told(text: str) -> None:
    told = Told(422, "invalid_input", text, text, text, text, text, "r-1")
    for shape in (own, inference, scoring):
        assert b"\n" not in shape(told)
        assert "r-1" in json.dumps(json.loads(shape(told)))


@pytest.mark.anyio
async def test_cut_off_by_the_end_of_the_grace_is_a_503() -> None:
    """What the server cancels at the end of a shutdown still gets an answer."""
    sent = []

    async def app(*_: object) -> None:
        await asyncio.sleep(10)

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "http.request"}

    routes = DirectRoutes(FastAPI())
    middleware = GuardMiddleware(app, 1000, 5.0, Metrics(), lambda: True, routes, {})
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    task = asyncio.create_task(middleware(scope, receive, send))
    await asyncio.sleep(0)
    task.cancel()
    await task
    assert sent[0]["status"] == 503  # type: ignore[index]
