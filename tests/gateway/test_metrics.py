"""What the gateway counts, and that no caller can make it count without bounds."""

from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.conftest import MakeServer
from tests.support.local import LocalServer
from tests.support.pictures import blobs_as

URL = "/process-image"


def samples(server: LocalServer, name: str) -> dict[tuple[str, ...], float]:
    """Return the values of one metric by its labels' values, in order of the labels' names."""
    text = server.client.get("/metrics").text
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_requests_by_route(make_server: MakeServer) -> None:
    server = make_server()
    client = server.client
    client.get("/docs")
    client.get("/static/home.js")
    client.post(URL, files={"file": blobs_as("PNG")})
    client.post(URL, files={"file": b"text"})
    client.get("/model-info")
    client.head("/model-info")
    counted = samples(server, "http_requests_total")
    assert counted["POST", URL, "200"] == 1
    assert counted["POST", URL, "415"] == 1
    assert counted["GET", "/model-info", "200"] == 1
    assert counted["HEAD", "/model-info", "200"] == 1
    assert counted["GET", "/docs", "200"] == 1
    assert counted["GET", "/static", "200"] == 1
    assert samples(server, "http_request_duration_seconds_count")["POST", URL] == 2
    assert samples(server, "active_connections")[()] == 1  # this very request


def test_labels_stay_within_bounds(make_server: MakeServer) -> None:
    server = make_server()
    before = len(samples(server, "http_requests_total"))
    for number in range(30):
        server.client.get(f"/nowhere/{number}")
        server.client.get(f"/static/{number}")
        server.client.request("PROPFIND", f"/x{number}")
        server.client.post(URL, files={"file": (f"{number}", b"x", f"image/x{number}")})
    counted = samples(server, "http_requests_total")
    assert len(counted) <= before + 5
    assert counted["GET", "unmatched", "404"] == 30
    assert counted["GET", "/static", "404"] == 30
    assert counted["OTHER", "unmatched", "404"] == 30
    assert set(samples(server, "file_uploads_total")) == {("rejected", "other")}


def test_uploads_and_predictions(make_server: MakeServer) -> None:
    server = make_server(max_file_size=50_000)
    jpeg, png = blobs_as("JPEG"), blobs_as("PNG")
    server.client.post(URL, files={"file": jpeg})
    server.client.post(URL, files={"file": png})
    server.client.post(URL, files={"file": png[:-20]})
    server.client.post(URL, files={"file": ("x", png, "image/jpeg")})
    server.client.post(URL, files={"file": bytes(200_000)})
    uploads = samples(server, "file_uploads_total")
    assert uploads == {
        ("accepted", "jpeg"): 1,
        ("accepted", "png"): 1,
        ("rejected", "png"): 2,
    }
    assert samples(server, "file_upload_size_bytes_count")[()] == 4
    predictions = samples(server, "predictions_total")
    assert predictions["sync", "blobs", "success", "1"] == 2
    assert predictions["sync", "blobs", "invalid", "1"] == 1
    assert samples(server, "requests_rejected_total")[("payload_too_large",)] == 1
    assert samples(server, "prediction_confidence_count")["blobs", "1"] == 4
