"""`GET /metrics/summary` agrees with `GET /metrics`."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.schemas_summary import MetricsSummary
from services.monitoring.series import Series
from services.monitoring.summary import summary
from tests.gateway.conftest import MakeServer
from tests.support.pictures import blobs_as

URL = "/metrics/summary"
# What the second question itself changes.
_MOVING = ("requests", "memory")


def ask(client: httpx.Client) -> MetricsSummary:
    response = client.get(URL)
    assert response.status_code == 200
    return MetricsSummary.model_validate(response.json())


def test_it_says_what_the_metrics_say(client: httpx.Client) -> None:
    for content in (blobs_as("PNG"), blobs_as("JPEG"), b"text"):
        client.post("/process-image", files={"file": content})
    found = client.get(URL).json()
    exposed = summary(Series(text_string_to_metric_families(client.get("/metrics").text)))
    for name in exposed.keys() - set(_MOVING):
        assert found[name] == exposed[name]
    (blobs,) = (one for one in found["predictions"]["models"] if one["model"] == "blobs")
    assert blobs["status"]["success"] >= 2
    assert blobs["phases"]["inference"]["mean"] > 0
    assert found["memory"]["models"] == exposed["memory"]["models"]


def test_requests_and_rates(make_server: MakeServer) -> None:
    client = make_server().client
    first = ask(client)
    assert first.recent is None
    for _ in range(4):
        client.get("/model/info")
    client.get("/nowhere")
    second = ask(client)
    routes = {(one.method, one.route): one for one in second.requests.routes}
    assert routes["GET", "/model/info"].count == 4
    assert routes["GET", "unmatched"].client_errors == 1
    assert second.recent is not None
    # Those five, and the first question.
    asked = second.recent.requests_per_second * second.recent.seconds
    assert asked == pytest.approx(second.requests.count - first.requests.count)
    assert second.uptime_seconds is not None and first.uptime_seconds is not None
    assert second.uptime_seconds > first.uptime_seconds > 0
