"""`POST /jobs/batch`: what is refused before 202, and what the larger bound for bodies is for."""

import gzip
import io
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import settings_for_tests
from tests.support.local import LocalServer, serving
from tests.support.pictures import blobs_as
from tests.support.redis_server import running_redis
from tests.support.serve_batches import TABLE, families

URL = "/jobs/batch"
MOST_ITEMS, LARGEST, MOST_BYTES = 5, 20_000, 200_000
LINES, CSV, ZIP = "application/x-ndjson", "text/csv", "application/zip"
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        settings = settings_for_tests(
            data_dir=tmp_path_factory.mktemp("data"),
            redis_url=redis.url,
            max_file_size=LARGEST,
            batch_max_items=MOST_ITEMS,
            batch_max_bytes=MOST_BYTES,
        )
        with serving(settings, families()) as running:
            yield running


@pytest.fixture
def client(server: LocalServer) -> httpx.Client:
    return server.client


def sent(client: httpx.Client, content: bytes, kind: str, **query: Any) -> httpx.Response:
    params = {"model": "blobs" if kind == ZIP else TABLE, **query}
    return client.post(URL, params=params, content=content, headers={"Content-Type": kind})


def refusal(response: httpx.Response) -> tuple[int, str, str | None]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["where"]


def archive(*files: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for index, data in enumerate(files):
            made.writestr(f"{index}.png", data)
    return file.getvalue()


def encrypted(data: bytes) -> bytes:
    changed = bytearray(data)
    struct.pack_into("<H", changed, data.find(b"PK\x01\x02") + 8, 1)
    return bytes(changed)


@pytest.mark.parametrize(
    ("content", "kind", "status", "code", "where"),
    [
        (b"", LINES, 422, "invalid_input", "body"),
        (b"\n \n", LINES, 422, "invalid_input", "body"),
        (b'1\n\n{"x": }\n', LINES, 400, "malformed_request", "line 3"),
        (b'{"x": 1, "x": 2}\n', LINES, 400, "malformed_request", "line 1"),
        (b"1\n\xff\n", LINES, 400, "malformed_request", "line 2"),
        (b"1\n" * (MOST_ITEMS + 1), LINES, 413, "payload_too_large", "body"),
        (b'"%b"' % (b"x" * LARGEST), LINES, 413, "payload_too_large", "line 1"),
        (b"1\n", LINES + "; charset=utf-16", 415, "unsupported_media_type", "Content-Type"),
        (b"", CSV, 422, "invalid_input", "body"),
        (b"x,y\n", CSV, 422, "invalid_input", "body"),
        (b"x,x\n1,2\n", CSV, 400, "malformed_request", "body"),
        (b"x,y\n1,2\n3\n", CSV, 422, "invalid_input", "line 3"),
        (b"x\n\xff\n", CSV, 400, "malformed_request", "body"),
        (b"x\n" + b"1\n" * (MOST_ITEMS + 1), CSV, 413, "payload_too_large", "body"),
        (b"x\n" + b"1" * (LARGEST + 1), CSV, 413, "payload_too_large", "body"),
        (b"PAR1 and no more", PARQUET, 400, "malformed_request", "body"),
        (b"no archive", ZIP, 400, "malformed_request", "body"),
        (archive(blobs_as("PNG"))[:-30], ZIP, 400, "malformed_request", "body"),
        (archive(), ZIP, 422, "invalid_input", "file"),
        (archive(*[b"x"] * (MOST_ITEMS + 1)), ZIP, 413, "payload_too_large", "file"),
        (archive(b"x", bytes(LARGEST + 1)), ZIP, 413, "payload_too_large", "file[1]"),
        (encrypted(archive(b"x")), ZIP, 422, "invalid_input", "file[0]"),
        (archive(b"x", method=zipfile.ZIP_BZIP2), ZIP, 422, "invalid_input", "file[0]"),
        (b"x", "text/plain", 415, "unsupported_media_type", "Content-Type"),
        (b"{}", "application/json", 415, "unsupported_media_type", "Content-Type"),
    ],
)
def test_a_body_that_cannot_be_read(
    client: httpx.Client, content: bytes, kind: str, status: int, code: str, where: str
) -> None:
    assert refusal(sent(client, content, kind)) == (status, code, where)


def test_nothing_of_what_was_refused_stays(client: httpx.Client, server: LocalServer) -> None:
    assert sent(client, b"{\n", LINES).status_code == 400
    folder = server.app.state.settings.data_dir / "jobs"
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert client.get("/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    ("query", "status", "where"),
    [
        ({"model": "nobody"}, 404, "model"),
        ({"version": "99"}, 404, "version"),
        ({"version": "4", "stage": "Production"}, 422, "version"),
        ({"stage": "somewhere"}, 422, "stage"),
        ({"threshold": 0.5}, 422, "threshold"),
        ({"ttl": 1e9}, 422, "ttl"),
        ({"webhook": "https://example.com"}, 422, "webhook"),
        ({"model": ""}, 422, "model"),
    ],
)
def test_a_query_that_asks_for_what_is_not_there(
    client: httpx.Client, query: dict[str, Any], status: int, where: str
) -> None:
    found = refusal(sent(client, b"1\n", LINES, **query))
    assert (found[0], found[2]) == (status, where)


def test_a_model_takes_files_or_rows(client: httpx.Client) -> None:
    assert sent(client, archive(b"x"), ZIP, model=TABLE).status_code == 415
    assert sent(client, b"x\n1\n", CSV, model="blobs").status_code == 415


def test_forms_without_a_file_that_can_be_told(client: httpx.Client) -> None:
    params = {"model": TABLE}
    assert client.post(URL, params=params, files={"other": b"x"}).status_code == 422
    unknown = client.post(URL, params=params, files={"file": ("notes.txt", b"x")})
    assert unknown.status_code == 415
    by_name = client.post(URL, params=params, files={"file": ("rows.jsonl", b"1\n2\n")})
    assert (by_name.status_code, by_name.json()["items"]) == (202, 2)


def test_a_body_may_be_larger_here_than_elsewhere(client: httpx.Client) -> None:
    large = b'{"x": 1, "more": "%b"}\n' % (b"x" * (LARGEST - 100))
    assert sent(client, large * 4, LINES).status_code == 202
    other = client.post("/predict", content=large * 8, headers={"Content-Type": "application/json"})
    assert other.status_code == 413


def test_a_body_that_is_too_large(client: httpx.Client) -> None:
    assert sent(client, b"1\n" * MOST_BYTES, LINES).status_code == 413
    # Without a length to go by.
    endless = client.post(
        URL,
        params={"model": TABLE},
        content=iter([b"1" * 10_000] * 40),
        headers={"Content-Type": LINES},
    )
    assert endless.status_code == 413
    bomb = gzip.compress(b"1\n" * MOST_BYTES)
    assert len(bomb) < MOST_BYTES / 10
    headers = {"Content-Type": LINES, "Content-Encoding": "gzip"}
    packed = client.post(URL, params={"model": TABLE}, content=bomb, headers=headers)
    assert packed.status_code == 413
    cut = client.post(URL, params={"model": TABLE}, content=bomb[:50], headers=headers)
    assert cut.status_code == 400


def test_what_is_no_job_and_what_is_no_batch(client: httpx.Client) -> None:
    nobody = "01937f5c-9f2b-7cc0-8000-6f1e5b9a3d21"
    for method, path in (("GET", ""), ("GET", "/results"), ("POST", "/cancel"), ("POST", "/retry")):
        assert client.request(method, f"/jobs/{nobody}{path}").status_code == 404
    assert client.get("/jobs/nothing").status_code == 422
    wrong = client.get(URL)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    one = client.post("/predictions", json={"model": TABLE, "input": {"row": 1}})
    assert one.status_code == 202
    assert client.get(f"/jobs/{one.json()['id']}/results").status_code == 404
    told = client.get(f"/jobs/{one.json()['id']}").json()
    assert (told["task"], told["counts"], told["position"]["ahead"]) == ("predict", None, 0)
    assert client.post(f"/jobs/{one.json()['id']}/cancel").json()["status"] == "canceled"


def test_a_waiting_batch_has_a_position_and_is_canceled_at_once(client: httpx.Client) -> None:
    ids = [sent(client, b"1\n", LINES).json()["id"] for _ in range(2)]
    told = client.get(f"/jobs/{ids[1]}").json()
    assert told["status"] == "starting" and told["position"]["ahead"] >= 1
    assert client.post(f"/jobs/{ids[0]}/cancel").json()["status"] == "canceled"
    results = client.get(f"/jobs/{ids[0]}/results")
    assert (results.status_code, results.content) == (200, b"")


def test_without_redis_nothing_is_accepted(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = settings_for_tests(data_dir=tmp_path_factory.mktemp("alone"))
    with serving(settings, families()) as alone:
        response = sent(alone.client, b"1\n", LINES)
        assert response.status_code == 503 and "retry-after" in response.headers
        assert alone.client.get("/jobs").json() == {"jobs": [], "next": None}
