"""`/v2` in the OpenAPI document: every route, examples that run, errors in the protocol's shape."""

from typing import Any

import pytest

from services.gateway import examples
from tests.support.local import LocalServer

PATHS = {
    "/v2": "get",
    "/v2/health/live": "get",
    "/v2/health/ready": "get",
    "/v2/models/{name}": "get",
    "/v2/models/{name}/ready": "get",
    "/v2/models/{name}/infer": "post",
    "/v2/models/{name}/versions/{version}": "get",
    "/v2/models/{name}/versions/{version}/ready": "get",
    "/v2/models/{name}/versions/{version}/infer": "post",
}


@pytest.fixture(scope="module")
def paths(server: LocalServer) -> Any:
    return server.client.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize("path", PATHS)
def test_every_route_stands_in_it(paths: Any, path: str) -> None:
    operation = paths[path][PATHS[path]]
    assert operation["summary"] and operation["description"]
    named = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
    assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}
    for status, response in operation["responses"].items():
        if status not in ("200", "503") and "application/json" in response["content"]:
            schema = response["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/TextError"}, status


def test_the_example_of_numbers_runs(server: LocalServer) -> None:
    body = examples.TENSORS["numbers"]["value"]
    answer = server.client.post("/v2/models/numbers/infer", json=body)
    assert answer.status_code == 200
    outputs = [output["name"] for output in answer.json()["outputs"]]
    assert outputs == ["predictions", "probabilities"]
