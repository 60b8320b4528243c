"""Errors: one shape for all of them, and nothing in it that a caller should not see."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from services.core import errors
from services.core.errors import (
    ConfigurationError,
    InvalidInputError,
    OverloadedError,
    SlipwayError,
)
from services.gateway.errors import STATUS, error_response, status_of
from services.gateway.middleware.catch_errors import CatchErrorsMiddleware
from tests.gateway.conftest import MakeServer

SCOPE = {"type": "http", "state": {"request_id": "r-1"}}


def test_an_address_that_is_not_there(client: httpx.Client) -> None:
    response = client.get("/nowhere")
    error = response.json()["error"]
    assert response.status_code == 404
    assert error["code"] == "not_found"
    assert set(error) == {"code", "message", "where", "expected", "request_id"}
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

    middleware = CatchErrorsMiddleware(app, draining=lambda: True)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    task = asyncio.create_task(middleware(scope, receive, send))
    await asyncio.sleep(0)
    task.cancel()
    await task
    assert sent[0]["status"] == 503  # type: ignore[index]
