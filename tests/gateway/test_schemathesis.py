"""Requests made up from the OpenAPI document: none may end in a 5xx or an undocumented answer."""

from collections.abc import Iterator
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error as strictly_not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from services.core.settings import Settings
from services.families.base import Family
from services.gateway.app import create_app
from tests.conftest import settings_for_tests
from tests.gateway.families import ColourFamily
from tests.support.blobs import BlobFamily
from tests.support.local import LocalServer, serving
from tests.support.patience import PATIENCE
from tests.support.pictures import blobs_as
from tests.support.redis_server import running_redis
from tests.support.small_models import trained, untrained_digits

# For each operation; of those without parameters there are only a few different requests.
THOROUGH = 60

# Waits for what it has accepted.
WAITING = "/train_model"

# Most made-up bytes are no picture; these reach the model and its answer.
PICTURES = [blobs_as(kind) for kind in ("JPEG", "PNG", "WEBP")]
schemathesis.openapi.format("binary", st.one_of(st.binary(max_size=300), st.sampled_from(PICTURES)))

# Made-up bytes do for a file of Parquet as well, and for the other bodies of a batch.
for media in ("application/vnd.apache.parquet", "application/x-ndjson", "application/zip"):
    schemathesis.serializer.alias(media, "application/octet-stream")

# What made-up names and versions would hardly ever hit.
KNOWN = {
    "name": [
        "ml_classifier",
        "sentiment-analysis-tfidf",
        "MNISTClassifier",
        "colours",
        "blobs",
    ],
    "version": ["1", "2"],
}
KNOWN["model"] = KNOWN["name"]
# These put models out of memory, so they get a gateway whose models nobody else asks.
UNLOADING = "/v2/repository/models/"


def document() -> dict[str, Any]:
    """Return the OpenAPI document, its names and versions mostly those of models that serve."""
    made = create_app(settings_for_tests(), {}).openapi()
    for path in made["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in KNOWN:
                    known = {"enum": KNOWN[parameter["name"]]}
                    parameter["schema"] = {"anyOf": [known, known, parameter["schema"]]}
            content = operation.get("requestBody", {}).get("content", {})
            body = content.get("application/json", {}).get("schema", {}).get("properties", {})
            for name in ("model", "version") if made_later(operation) else ():
                known = {"enum": KNOWN[name]}
                body[name] = {"anyOf": [known, known, body[name]]}
    return made


def made_later(operation: dict[str, Any]) -> bool:
    """Whether an operation takes a prediction to be made later."""
    return operation["operationId"] in ("create_prediction", "put_prediction")


DOCUMENT = document()
schema = schemathesis.openapi.from_dict(DOCUMENT)


class Servers:
    """One gateway for most requests, and one to put models out of."""

    def __init__(self, most: LocalServer, unloading: LocalServer) -> None:
        self.most = most
        self.unloading = unloading

    def of(self, path: str) -> LocalServer:
        return self.unloading if path.startswith(UNLOADING) else self.most


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    data = tmp_path_factory.mktemp("data")
    quick: dict[str, Family] = {
        "digits": untrained_digits(data / "digits"),
        "colours": ColourFamily(),
        "blobs": BlobFamily(),
    }
    small = {**trained(data / "models", "tabular", "sentiment"), **quick}

    def settings(name: str) -> Settings:
        return settings_for_tests(
            data_dir=data / name,
            max_file_size=100_000,
            # A registry that nobody has used yet.
            mlflow_tracking_uri=f"sqlite:///{data / name}.db",
            mlflow_webhook_secret="a secret of sixteen",
            # What is accepted waits: nobody does it.
            redis_url=redis.url,
            request_timeout=10.0,
        )

    with (
        running_redis(data / "redis") as redis,
        serving(settings("most"), small) as most,
        serving(settings("unloading"), quick) as unloading,
    ):
        yield Servers(most, unloading)


def limited(examples: int, *phases: hypothesis.Phase) -> hypothesis.settings:
    """The same cases every time, and none of them kept on disk."""
    return hypothesis.settings(
        max_examples=examples,
        phases=phases or tuple(hypothesis.Phase),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def not_a_server_error(
    context: Any, response: "schemathesis.Response", case: "schemathesis.Case[Any]"
) -> bool | None:
    """503 says that a model is not there now, of one that was put out or in a question for just
    that; any other 5xx is a bug."""
    documented = case.operation.definition.raw.get("responses", {})
    about_models = case.method == "GET" and case.path.startswith(("/v1/models/", "/v2/models/"))
    expected = about_models or case.path.startswith(UNLOADING)
    if response.status_code == 503 and "503" in documented and expected:
        return None
    return strictly_not_a_server_error(context, response, case)


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


def check(servers: Servers, case: "schemathesis.Case[Any]") -> None:
    port = servers.of(case.path).port
    address = f"http://127.0.0.1:{port}"
    case.call_and_validate(base_url=address, checks=CHECKS, timeout=PATIENCE)


@pytest.mark.slow
@schema.exclude(path=WAITING).parametrize()
@limited(THOROUGH)
def test_thousands_of_made_up_requests(servers: Servers, case: "schemathesis.Case[Any]") -> None:
    check(servers, case)


@pytest.mark.slow
@schema.include(path=WAITING).parametrize()
@limited(3, hypothesis.Phase.generate)
def test_what_waits_for_its_work(servers: Servers, case: "schemathesis.Case[Any]") -> None:
    """Here nobody does the work: each of these that is accepted takes REQUEST_TIMEOUT."""
    check(servers, case)


@pytest.mark.slow
def test_pictures_get_through(servers: Servers) -> None:
    """The strategy above would prove little if its pictures were all refused."""
    for picture in PICTURES:
        answer = servers.most.client.post("/process-image", files={"file": picture})
        assert answer.status_code == 200


@pytest.mark.slow
def test_the_models_serve(servers: Servers) -> None:
    assert set(servers.most.client.get("/health").json()["models"]) == set(KNOWN["name"])
