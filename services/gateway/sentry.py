"""Crash reports, only where SENTRY_DSN is set, and without anything a caller sent."""

from typing import TYPE_CHECKING

import sentry_sdk
from sentry_sdk.types import Event, Hint

from services import __version__
from services.core.settings import Settings

if TYPE_CHECKING:
    from sentry_sdk._types import DataCollectionUserOptions

_NOTHING: "DataCollectionUserOptions" = {
    "user_info": False,
    "cookies": {"mode": "off"},
    "http_headers": {"request": {"mode": "off"}},
    "http_bodies": [],
    "url_query_params": {"mode": "off"},
    "stack_frame_variables": False,
}
_KEPT_OF_REQUEST = frozenset({"method"})


def start_sentry(settings: Settings) -> None:
    """Start reporting crashes, if the operator asked for it."""
    if settings.sentry_dsn is None:
        return
    sentry_sdk.init(
        dsn=settings.sentry_dsn,
        environment=settings.environment,
        release=f"slipway@{__version__}",
        # The one for Starlette reads every request's form itself, before the limits are checked.
        auto_enabling_integrations=False,
        max_request_body_size="never",
        data_collection=_NOTHING,
        # Local variables of a frame hold uploads.
        include_local_variables=False,
        before_send=scrub,
    )


def scrub(event: Event, _: Hint) -> Event | None:
    """Drop headers, cookies, query, body and addresses from a report."""
    request = event.get("request")
    if request:
        event["request"] = {k: v for k, v in request.items() if k in _KEPT_OF_REQUEST}
    event.pop("user", None)
    event.pop("breadcrumbs", None)
    return event
