"""`POST /jobs/batch` and `/jobs`, with a real worker, Redis and database."""

import csv
import gzip
import io
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet

from services.gateway.schemas_jobs import AcceptedBatch, JobDocument, JobList
from tests.support.jobs_stand import Stand
from tests.support.local import LocalServer, serving
from tests.support.patience import PATIENCE
from tests.support.pictures import blobs_as
from tests.support.serve_batches import TABLE, families

URL = "/jobs/batch"
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("stand")
    with Stand(folder, job_lease=3, max_file_size=200_000) as stand:
        worker = stand.start("tests.support.serve_batches")
        with serving(stand.settings, families()) as running:
            worker.wait_for("ready.")
            yield running


@pytest.fixture
def client(server: LocalServer) -> httpx.Client:
    return server.client


def accepted(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 202, response.text
    body: dict[str, Any] = response.json()
    AcceptedBatch.model_validate(body)
    assert response.headers["location"] == f"/jobs/{body['id']}"
    assert body["id"] == body["job_id"]
    return body


def document(client: httpx.Client, id: str) -> dict[str, Any]:
    response = client.get(f"/jobs/{id}")
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    assert JobDocument.model_validate(body).model_dump(exclude_unset=True) == body
    return body


def ended(client: httpx.Client, id: str) -> dict[str, Any]:
    until = time.monotonic() + PATIENCE
    while (body := document(client, id))["status"] in ("starting", "processing"):
        assert time.monotonic() < until, body
        time.sleep(0.05)
    return body


def results(client: httpx.Client, id: str) -> list[dict[str, Any]]:
    response = client.get(f"/jobs/{id}/results")
    assert response.status_code == 200, response.text
    assert response.headers["x-job-status"] == "succeeded"
    return [orjson.loads(line) for line in response.content.splitlines()]


def asked(client: httpx.Client, content: bytes, kind: str, **query: Any) -> list[dict[str, Any]]:
    response = client.post(
        URL, params={"model": TABLE, **query}, content=content, headers={"Content-Type": kind}
    )
    body = accepted(response)
    assert ended(client, body["id"])["status"] == "succeeded"
    found = results(client, body["id"])
    assert [line["index"] for line in found] == list(range(body["items"]))
    return found


def predictions(found: list[dict[str, Any]]) -> list[Any]:
    return [line["output"]["prediction"] if "output" in line else None for line in found]


def archive(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    return file.getvalue()


def test_lines_of_json_with_one_row_that_the_model_refuses(client: httpx.Client) -> None:
    body = b'{"x": 1, "y": 2}\n{"x": -4}\n[]\n{"row": 3}\n'
    found = asked(client, body, "application/x-ndjson")
    assert predictions(found) == [3.0, None, None, 3.0]
    assert found[1]["error"]["where"] == "items[1].x"
    looked = client.get(f"/predictions/{found[0]['id']}").json()
    assert (looked["mode"], looked["output"]["predictions"]) == ("batch", [3.0])
    listed = [found[1]["id"], found[3]["id"]]
    assert [client.get(f"/predictions/{id}").json()["status"] for id in listed] == [
        "failed", "succeeded"
    ]  # fmt: skip


def test_csv_is_typed_by_the_signature(client: httpx.Client) -> None:
    body = "\ufeffx,y,ignored\r\n1,2,a\r\n-1,,b\r\n3,,c\r\n".encode()
    found = asked(client, body, "text/csv; charset=utf-8")
    assert predictions(found) == [3.0, None, 3.0]


def test_parquet(client: httpx.Client) -> None:
    file = io.BytesIO()
    parquet.write_table(pa.table({"x": [1.5, 2.0, -1.0], "y": [1, None, 1], "z": [0] * 3}), file)
    found = asked(client, file.getvalue(), "application/vnd.apache.parquet")
    assert predictions(found) == [2.5, 2.0, None]


def test_packed_lines(client: httpx.Client) -> None:
    response = client.post(
        URL,
        params={"model": TABLE},
        content=gzip.compress(b"1\n2\n"),
        headers={**LINES, "Content-Encoding": "gzip"},
    )
    assert accepted(response)["items"] == 2


def test_pictures_as_a_form_sends_them(client: httpx.Client) -> None:
    packed = archive(**{
        "a/one.png": blobs_as("PNG"), "broken.png": b"\x89PNG\r\n\x1a\nnothing", "__MACOSX/x": b"",
    })  # fmt: skip
    response = client.post(
        URL, params={"model": "blobs", "threshold": 0.9}, files={"file": ("photos.zip", packed)}
    )
    body = accepted(response)
    told = ended(client, body["id"])
    assert told["counts"] == {"items": 2, "done": 2, "succeeded": 1, "failed": 1}
    assert (told["progress"], told["seconds_left"]) == (1.0, None)
    good, bad = results(client, body["id"])
    assert (good["name"], good["output"]["num_instances"]) == ("a/one.png", 1)
    assert (bad["name"], bad["status"]) == ("broken.png", "failed")


def test_results_as_tables(client: httpx.Client) -> None:
    body = accepted(client.post(URL, params={"model": TABLE}, content=b"1\n-1\n", headers=LINES))
    ended(client, body["id"])
    path = f"/jobs/{body['id']}/results"
    text = client.get(path, headers={"Accept": "text/csv"})
    assert text.headers["content-type"].startswith("text/csv")
    good, bad = csv.DictReader(io.StringIO(text.text))
    assert (good["index"], good["output.prediction"], good["output.parities"]) == (
        "0",
        "1.0",
        "[1]",
    )
    assert (bad["status"], bad["error.code"]) == ("failed", "invalid_input")
    table = parquet.read_table(io.BytesIO(client.get(path, params={"format": "parquet"}).content))
    assert table.column("output.prediction").to_pylist() == [1.0, None]
    assert table.schema.field("index").type == pa.int64()


def test_results_while_it_runs_cancel_and_retry(client: httpx.Client) -> None:
    count = 40
    slow = b'{"x": 1, "y": 0.1, "do": "sleep"}\n' * count
    id = accepted(client.post(URL, params={"model": TABLE}, content=slow, headers=LINES))["id"]
    path = f"/jobs/{id}/results"
    until = time.monotonic() + PATIENCE
    while document(client, id)["counts"]["done"] < 8:
        assert time.monotonic() < until
        time.sleep(0.05)
    if document(client, id)["status"] == "processing":
        refused = client.get(path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    part = client.get(path, params={"from": 4})
    assert part.status_code == 200
    numbers = [orjson.loads(line)["index"] for line in part.content.splitlines()]
    assert numbers and numbers == list(range(4, 4 + len(numbers)))
    assert client.post(f"/jobs/{id}/cancel").status_code == 200
    told = ended(client, id)
    assert told["status"] == "canceled" and 8 <= told["counts"]["done"] < count
    assert client.get(path).headers["x-job-status"] == "canceled"
    again = client.post(f"/jobs/{id}/retry")
    assert again.status_code == 202, again.text
    assert ended(client, id)["status"] == "succeeded"
    assert [line["index"] for line in results(client, id)] == list(range(count))
    assert client.post(f"/jobs/{id}/retry").status_code == 409


def test_events_tell_how_far_it_is(client: httpx.Client) -> None:
    slow = b'{"x": 1, "y": 0.05, "do": "sleep"}\n' * 20
    id = accepted(client.post(URL, params={"model": TABLE}, content=slow, headers=LINES))["id"]
    events: list[tuple[str, Any]] = []
    with client.stream("GET", f"/jobs/{id}", headers={"Accept": "text/event-stream"}) as stream:
        name = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((name, orjson.loads(line.removeprefix("data: "))))
    names = [name for name, _ in events]
    assert names[0] == "status" and names[-1] == "completed" and "progress" in names
    assert events[-1][1]["counts"]["done"] == 20
    told = next(data for name, data in events if name == "progress")
    assert {"items", "done", "succeeded", "failed"} <= told.keys()


def test_the_same_key_is_the_same_job(client: httpx.Client) -> None:
    headers = {**LINES, "Idempotency-Key": "one"}
    first = accepted(client.post(URL, params={"model": TABLE}, content=b"1\n", headers=headers))
    ended(client, first["id"])
    same = client.post(URL, params={"model": TABLE}, content=b"1\n", headers=headers)
    assert same.status_code == 200 and same.json()["id"] == first["id"]
    assert same.headers["idempotent-replayed"] == "true"
    other = client.post(URL, params={"model": TABLE}, content=b"2\n", headers=headers)
    assert other.status_code == 409


def test_jobs_are_listed_page_by_page(client: httpx.Client) -> None:
    ids = [
        accepted(client.post(URL, params={"model": TABLE}, content=b"1\n", headers=LINES))["id"]
        for _ in range(3)
    ]
    ended(client, ids[-1])
    query: str | None = f"/jobs?queue=batch&task=predict_batch&model={TABLE}&since=1h&limit=2"
    seen: list[str] = []
    while query is not None:
        response = client.get(query)
        assert response.status_code == 200, response.text
        page = response.json()
        JobList.model_validate(page)
        seen += [job["id"] for job in page["jobs"]]
        query = page["next"]
    assert seen[:3] == ids[::-1] and len(seen) == len(set(seen))
    none = client.get("/jobs", params={"model": "nobody"}).json()
    assert none == {"jobs": [], "next": None}
    failed = client.get("/jobs", params={"status": "failed"}).json()["jobs"]
    assert all(job["status"] == "failed" for job in failed)
