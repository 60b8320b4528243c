"""Webhook deliveries: genuine, fresh, and once; and one that a real MLflow server sends."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from services.core.errors import InvalidInputError
from services.registry.webhook import Deliveries, verify
from tests.registry.conftest import Shelf
from tests.support.mlflow_server import MlflowServer
from tests.support.patience import PATIENCE

SECRET = "correct horse"
NOW = 1_700_000_000.0
BODY = b'{"entity": "model_version_alias"}'


def signed(
    body: bytes = BODY, secret: str = SECRET, sent: str = str(int(NOW)), delivery: str = "d-1"
) -> dict[str, str]:
    digest = hmac.new(secret.encode(), f"{delivery}.{sent}.".encode() + body, hashlib.sha256)
    return {
        "X-MLflow-Signature": "v1," + base64.b64encode(digest.digest()).decode(),
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": sent,
    }


def test_a_genuine_delivery() -> None:
    assert verify(SECRET, signed(), BODY, NOW) == "d-1"
    assert verify(SECRET, {k.lower(): v for k, v in signed().items()}, BODY, NOW + 299) == "d-1"


@pytest.mark.parametrize(
    ("headers", "body", "now"),
    [
        ({}, BODY, NOW),
        (signed(), BODY + b" ", NOW),
        (signed(secret="other"), BODY, NOW),
        (signed(), BODY, NOW + 301),
        (signed(), BODY, NOW - 301),
        (signed(sent="1e9"), BODY, NOW),
        (signed(sent="٣"), BODY, NOW),
        (signed(delivery=""), BODY, NOW),
        ({**signed(), "X-MLflow-Delivery-Id": "d-2"}, BODY, NOW),
        ({**signed(), "X-MLflow-Timestamp": str(int(NOW) + 1)}, BODY, NOW),
        ({**signed(), "X-MLflow-Signature": "v1,"}, BODY, NOW),
        ({**signed(), "X-MLflow-Signature": "v1,ü"}, BODY, NOW),
    ],
)
def test_what_is_refused(headers: dict[str, str], body: bytes, now: float) -> None:
    with pytest.raises(InvalidInputError):
        verify(SECRET, headers, body, now)


def test_without_a_secret_nothing_is_genuine() -> None:
    with pytest.raises(InvalidInputError):
        verify("", signed(secret=""), BODY, NOW)


def test_a_delivery_counts_once() -> None:
    deliveries = Deliveries(SECRET)
    deliveries.accept(signed(), BODY, NOW)
    with pytest.raises(InvalidInputError):
        deliveries.accept(signed(), BODY, NOW + 10)
    deliveries.accept(signed(delivery="d-2"), BODY, NOW + 10)
    # A forged one takes no room in memory and spoils no id.
    with pytest.raises(InvalidInputError):
        deliveries.accept({**signed(delivery="d-3"), "X-MLflow-Signature": "v1,x"}, BODY, NOW)
    deliveries.accept(signed(delivery="d-3"), BODY, NOW + 10)


def test_what_is_remembered_is_bounded() -> None:
    deliveries = Deliveries(SECRET)
    for number in range(500):
        at = NOW + number * 10
        deliveries.accept(signed(sent=str(int(at)), delivery=f"d-{number}"), BODY, at)
    assert len(deliveries._seen) <= 2 * 300 / 10 + 1


class Listener(HTTPServer):
    """Keeps every delivery that comes."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.arrived = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers.items()), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.arrived.set()

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_a_delivery_of_mlflow_itself(tmp_path: Path, listener: Listener) -> None:
    from cryptography.fernet import Fernet
    from mlflow.entities.webhook import WebhookEvent

    server = MlflowServer(
        tmp_path,
        MLFLOW_WEBHOOK_ALLOWED_SCHEMES="http",
        MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true",
        MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY=Fernet.generate_key().decode(),
    )
    try:
        shelf = Shelf(server.uri)
        shelf.client.create_webhook(
            name="slipway",
            url=f"http://127.0.0.1:{listener.server_port}/models/webhook",
            events=[WebhookEvent.from_str("model_version_alias.created")],
            secret=SECRET,
        )
        name = shelf.model(1)
        shelf.client.set_registered_model_alias(name, "production", "1")
        assert listener.arrived.wait(PATIENCE)
    finally:
        server.stop()
    headers, body = listener.got[0]
    deliveries = Deliveries(SECRET)
    deliveries.accept(headers, body, time.time())
    assert json.loads(body)["data"]["alias"] == "production"
    with pytest.raises(InvalidInputError):
        verify("wrong", headers, body, time.time())
