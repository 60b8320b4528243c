"""Crash reports: off by default, and without anything that a caller sent."""

from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from services.gateway.app import create_app
from services.gateway.sentry import scrub, start_sentry
from tests.conftest import MakeSettings
from tests.support.blobs import BlobFamily
from tests.support.local import serving

SECRET = "SECRET-4711"


class Kept(Transport):
    """Keeps reports instead of sending them."""

    sent: list[dict[str, Any]]

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event is not None:
            self.sent.append(dict(event))


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    kept: list[dict[str, Any]] = []
    monkeypatch.setattr(Kept, "sent", kept, raising=False)
    original = sentry_sdk.init

    def init(**options: Any) -> Any:
        return original(**options, transport=Kept)

    monkeypatch.setattr(sentry_sdk, "init", init)
    yield kept
    original(dsn=None, auto_enabling_integrations=False)


def test_off_without_an_address(make_settings: MakeSettings) -> None:
    create_app(make_settings(), {"blobs": BlobFamily()})
    assert not sentry_sdk.get_client().is_active()


def test_a_crash_is_reported_without_what_was_sent(
    make_settings: MakeSettings, reports: list[dict[str, Any]]
) -> None:
    settings = make_settings(sentry_dsn="https://key@sentry.example/1")
    with serving(settings) as server:

        @server.app.post("/broken")
        async def broken() -> None:
            held = SECRET  # a local variable  # noqa: F841
            raise RuntimeError("it broke")

        response = server.client.post(
            f"/broken?token={SECRET}",
            files={"file": SECRET.encode()},
            headers={"Authorization": SECRET, "Cookie": f"a={SECRET}"},
        )
        assert response.status_code == 500
    assert len(reports) == 1
    assert "it broke" in str(reports[0])
    assert SECRET not in str(reports[0]).replace("SECRET  # a local variable", "")


def test_scrubbing_keeps_only_the_method() -> None:
    event: Any = {
        "request": {"method": "POST", "url": "u", "data": "d", "headers": {}, "cookies": {}},
        "user": {"ip_address": "1.2.3.4"},
        "breadcrumbs": {"values": []},
        "message": "m",
    }
    assert scrub(event, {}) == {"request": {"method": "POST"}, "message": "m"}


def test_starting_is_harmless_twice(
    make_settings: MakeSettings, reports: list[dict[str, Any]]
) -> None:
    settings = make_settings(sentry_dsn="https://key@sentry.example/1")
    start_sentry(settings)
    start_sentry(settings)
    assert sentry_sdk.get_client().is_active()
