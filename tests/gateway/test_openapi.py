"""The OpenAPI document: complete, true, and with something to try."""

import httpx

from services.gateway.schemas import ErrorResponse
from tests.support.pictures import blobs_as


def test_every_operation_is_described(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) >= {
        "/",
        "/api/2.0/endpoints",
        "/api/2.0/endpoints/",
        "/api/2.0/endpoints/{name}",
        "/classes",
        "/endpoints/{name}/invocations",
        "/experiments",
        "/health",
        "/health/live",
        "/health/ready",
        "/invocations",
        "/metrics",
        "/model/info",
        "/model-info",
        "/model_info",
        "/mlflow/runs",
        "/models",
        "/models/transition",
        "/models/webhook",
        "/models/{name}",
        "/models/{name}/invocations",
        "/models/{name}/predict",
        "/ping",
        "/predict",
        "/predictions",
        "/predictions/{id}",
        "/predictions/{id}/cancel",
        "/predictions/{id}/feedback",
        "/process-image",
        "/process-image/async",
        "/task/{task_id}",
        "/v1/models",
        "/v1/models/{name}",
        "/v1/models/{name}/versions/{version}",
        "/v1/models/{name}/versions/{version}:predict",
        "/v1/models/{name}:explain",
        "/v1/models/{name}:predict",
        "/version",
    }
    operations = [operation for path in paths.values() for operation in path.values()]
    assert all(operation["summary"] for operation in operations)
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)


def test_the_upload_is_a_binary_field(client: httpx.Client) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/process-image"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]
    assert form["schema"]["required"] == ["file"]
    assert form["schema"]["properties"]["file"]["format"] == "binary"
    assert "image/jpeg" in form["encoding"]["file"]["contentType"]
    assert "curl -F file=@" in operation["description"]


def test_errors_are_documented_with_their_body(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    responses = document["paths"]["/process-image"]["post"]["responses"]
    assert set(responses) == {
        "200", "202", "400", "408", "409", "413", "415", "422", "429", "500", "503", "504"
    }  # fmt: skip
    for status, response in responses.items():
        schema = response["content"]["application/json"]["schema"]
        if status > "202":
            assert schema == {"$ref": "#/components/schemas/ErrorResponse"}
    for status in ("429", "503"):
        assert "Retry-After" in responses[status]["headers"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_errors_have_the_documented_body(client: httpx.Client) -> None:
    answers = [
        client.get("/nowhere"),
        client.delete("/health"),
        client.post("/process-image"),
        client.post("/process-image?threshold=x", files={"file": blobs_as("PNG")}),
        client.post("/process-image", files={"file": b""}),
    ]
    for answer in answers:
        ErrorResponse.model_validate(answer.json(), strict=True)


def test_the_documentation_page_finds_the_document(client: httpx.Client) -> None:
    assert "/openapi.json" in client.get("/static/docs.js").text
    assert client.get("/docs").status_code == 200
