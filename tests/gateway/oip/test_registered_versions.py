"""Versions of a real registry by their number, whether they are in memory or not."""

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton

from services.families import discover
from tests.conftest import settings_for_tests
from tests.gateway.constants import FEATURES, Constants
from tests.gateway.oip.test_triton_client import tensor
from tests.support.local import LocalServer, serving
from tests.support.mlflow_server import MlflowServer

pytestmark = pytest.mark.slow

NAME = "constants"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """Versions 1, in production, and 2; each always answers its own number."""
    mlflow = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    try:
        model = Constants(mlflow, NAME, tmp_path_factory.mktemp("versions"))
        for _ in range(2):
            model.add()
        model.alias("1")
        settings = settings_for_tests(
            data_dir=tmp_path_factory.mktemp("data"), mlflow_tracking_uri=mlflow.uri
        )
        found = {name: one for name, one in discover().items() if name in ("tabular", "pyfunc")}
        with serving(settings, found, ready=False) as server:
            server.wait_serving(NAME, "1")
            yield server
    finally:
        mlflow.stop()


def test_a_version_is_brought_into_memory_when_it_is_asked_for(gateway: LocalServer) -> None:
    url, rows = f"127.0.0.1:{gateway.port}", np.zeros((2, FEATURES))
    answer = gateway.client.get(f"/v2/models/{NAME}/versions/2/ready")
    assert answer.status_code == 503 and "not in memory" in answer.json()["error"]
    assert gateway.client.get(f"/v2/models/{NAME}/versions/9/ready").status_code == 404
    with triton.InferenceServerClient(url, network_timeout=60) as client:
        assert client.is_model_ready(NAME, "1") and not client.is_model_ready(NAME, "2")
        metadata = client.get_model_metadata(NAME, "2")
        assert metadata["versions"] == ["1", "2"]
        assert metadata["inputs"][0]["shape"] == [-1, FEATURES]
        assert client.is_model_ready(NAME, "2")
        first, second = (client.infer(NAME, [tensor("x", rows)], version) for version in ("", "2"))
        assert first.get_response()["model_version"] == "1"
        assert second.get_response()["model_version"] == "2"
        assert first.as_numpy("predictions").tolist() != second.as_numpy("predictions").tolist()
        with pytest.raises(triton.InferenceServerException, match="version does not exist"):
            client.infer(NAME, [tensor("x", rows)], "9")
