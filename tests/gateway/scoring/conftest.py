"""A client of the gateway in front of the models that answer what reached them."""

import httpx
import pytest

from tests.support.local import LocalServer

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"


@pytest.fixture
def client(echo_server: LocalServer) -> httpx.Client:
    return echo_server.client


def send(client: httpx.Client, model: str, content: bytes | str, kind: str) -> httpx.Response:
    return client.post(
        f"/models/{model}/invocations", content=content, headers={"Content-Type": kind}
    )
