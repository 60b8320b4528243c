"""`POST` and `PUT /predictions`: what is accepted, what is refused at once, and only once."""

import base64
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conftest import settings_for_tests
from tests.gateway.asynchronous.conftest import families, later
from tests.support.local import LocalServer, serving
from tests.support.patience import PATIENCE
from tests.support.pictures import blobs_as
from tests.support.redis_server import RedisServer

PNG = blobs_as("PNG")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_it_is_accepted(client: httpx.Client) -> None:
    answer = later(client, headers={"X-Request-ID": "order-17"})
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert answer.headers["Location"] == f"/predictions/{body['id']}"
    assert answer.headers["X-Prediction-ID"] == body["id"]
    assert "Idempotent-Replayed" not in answer.headers
    created = body.pop("created_at")
    own = f"/predictions/{body['id']}"
    assert body == {
        "id": body["id"], "status": "starting", "model": "adder", "version": None,
        "urls": {"get": own, "cancel": f"{own}/cancel", "stream": own},
    }  # fmt: skip
    shown = client.get(own).json()
    assert shown["created_at"] == created and created.endswith("+00:00")
    assert (shown["status"], shown["mode"], shown["model"]) == ("starting", "async", "adder")
    assert shown["request_id"] == "order-17"
    assert shown["position"]["ahead"] >= 0
    assert shown["started_at"] is shown["completed_at"] is shown["output"] is None
    assert shown["urls"] == body["urls"] and shown["cancel_requested"] is False


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"model": "nobody"}, 404, "model"),
    ({"version": "99"}, 404, "version"),
    ({"version": "7", "stage": "production"}, 422, "version"),
    ({"stage": "somewhere"}, 422, "stage"),
    ({"input": [1]}, 422, "input"),
    ({"input": None}, 422, "input"),
    ({"ttl": 0}, 422, "ttl"),
    ({"ttl": 1e9}, 422, "ttl"),
    ({"ttl": "60"}, 422, "ttl"),
    ({"webhook": "ftp://example.com"}, 422, "webhook"),
    ({"webhook": "http://127.0.0.1/"}, 422, "webhook"),
    ({"webhook_events_filter": ["completed"]}, 422, "webhook_events_filter"),
    ({"webhook": "https://example.com/", "webhook_events_filter": ["all"]}, 422, "webhook_ev"),
    ({"surprise": 1}, 422, "body"),
    ({"model": "blobs", "input": {}}, 422, "input.image"),
    ({"model": "blobs", "input": {"image": "%%"}}, 422, "input.image"),
    ({"model": "blobs", "input": {"image": b64(b"GIF89a...")}}, 415, "input.image"),
    ({"model": "blobs", "input": {"image": b64(PNG[:-30])}}, 422, "input.image"),
    ({"model": "blobs", "input": {"image": b64(PNG), "threshold": 2}}, 422, "input.threshold"),
    ({"model": "blobs", "input": {"image": b64(PNG), "include": "cats"}}, 422, "input.include"),
    ({"model": "blobs", "input": {"image": b64(PNG), "x": 1}}, 422, "input"),
    ({"model": "colours", "input": {"image": b64(PNG), "threshold": 0.5}}, 422, "input"),
]


@pytest.mark.parametrize(("fields", "status", "where"), BAD)
def test_what_is_refused(
    client: httpx.Client, fields: dict[str, Any], status: int, where: str
) -> None:
    body = {"model": "adder", "input": {"features": [1, 2]}, **fields}
    answer = client.post("/predictions", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["where"].startswith(where)


def test_bodies_that_are_none(client: httpx.Client) -> None:
    assert client.post("/predictions", content=b"{").status_code == 400
    assert client.post("/predictions", content=b"[]").status_code == 422
    assert client.post("/predictions", content=b"x", headers={"Content-Type": "text/csv"}
                       ).status_code == 415  # fmt: skip
    assert client.put("/predictions/one", json={}).status_code == 422
    assert later(client, headers={"Idempotency-Key": "k" * 256}).status_code == 422


def test_pictures_in_json(client: httpx.Client) -> None:
    for image in (b64(PNG), "data:image/png;base64," + b64(PNG)):
        given = {"image": image, "threshold": 0.25, "include": ["masks"]}
        answer = client.post("/predictions", json={"model": "blobs", "input": given})
        assert answer.status_code == 202, answer.text


def test_one_key_is_one_job(client: httpx.Client) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}

    def post(_: int) -> httpx.Response:
        return later(client, headers=key)

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(post, range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    replayed = [answer for answer in answers if "Idempotent-Replayed" in answer.headers]
    assert len(replayed) == 99
    assert {answer.headers["Idempotent-Replayed"] for answer in replayed} == {"true"}


@pytest.mark.parametrize(
    "other",
    [{"input": {"features": [1, 3]}}, {"model": "colours", "input": {"image": b64(PNG)}},
     {"version": "7"}, {"stage": "production"}, {"ttl": 30},
     {"webhook": "https://example.com/hook"}],
)  # fmt: skip
def test_one_key_and_another_body(client: httpx.Client, other: dict[str, Any]) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    assert later(client, headers=key).status_code == 202
    body = {"model": "adder", "input": {"features": [1, 2]}, **other}
    answer = client.post("/predictions", json=body, headers=key)
    assert answer.status_code == 409, answer.text
    assert answer.json()["error"]["where"] == "Idempotency-Key"


def test_an_id_of_ones_own(client: httpx.Client) -> None:
    own = uuid.uuid4()
    body = {"model": "adder", "input": {"features": [1, 2]}}
    first = client.put(f"/predictions/{own}", json=body)
    assert (first.status_code, first.json()["id"]) == (202, str(own)), first.text
    again = client.put(f"/predictions/{str(own).upper()}", json=body)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    other = client.put(f"/predictions/{own}", json={**body, "ttl": 5})
    assert other.status_code == 409
    assert other.json()["error"]["where"] == "id"


@pytest.mark.slow
def test_an_id_that_is_on_record(client: httpx.Client) -> None:
    """It was predicted at once, so it cannot be made again."""
    made = client.post("/predict", json={"features": [1, 2]}).headers["X-Prediction-ID"]
    until = time.monotonic() + PATIENCE
    while made not in client.get("/predictions?model=adder").text:
        assert time.monotonic() < until
        time.sleep(0.1)
    body = {"model": "adder", "input": {"features": [1, 2]}}
    assert client.put(f"/predictions/{made}", json=body).status_code == 409


def test_waiting_for_what_nobody_does(client: httpx.Client) -> None:
    answer = later(client, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202, answer.text
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert answer.json()["status"] == "starting"


def test_without_redis(tmp_path: Any) -> None:
    for settings in ({}, {"redis_url": "redis://127.0.0.1:1/0", "jobs": False}):
        made = settings_for_tests(data_dir=tmp_path, **settings)
        with serving(made, families()) as server:
            answers = [
                later(server.client),
                server.client.post("/process-image/async", files={"file": PNG}),
                server.client.post(
                    "/predict", json={"features": [1]}, headers={"Prefer": "respond-async"}
                ),
            ]
            for answer in answers:
                assert answer.status_code == 503, answer.text
                assert "REDIS_URL" in answer.text or "JOBS" in answer.text
                assert int(answer.headers["Retry-After"]) >= 1
            # Nothing else needs it.
            assert server.client.post("/predict", json={"features": [1]}).status_code == 200
            unknown = f"/predictions/{uuid.uuid4()}"
            assert server.client.get(unknown).status_code == 404
            assert server.client.post(f"{unknown}/cancel").status_code == 404
            listed = server.client.get("/predictions?status=starting").json()
            assert listed == {"predictions": [], "next": None}


def test_a_full_queue(redis: RedisServer, tmp_path: Any) -> None:
    settings = settings_for_tests(data_dir=tmp_path, redis_url=redis.url, job_max_queued=3)
    with serving(settings, families()) as server:
        statuses = [later(server.client).status_code for _ in range(5)]
        assert statuses[:3] == [202] * 3
        refused = later(server.client)
        assert refused.status_code == 429, refused.text
        assert int(refused.headers["Retry-After"]) >= 1


def test_after_a_restart(redis: RedisServer, tmp_path: Any) -> None:
    """Another gateway on the same database knows it."""
    settings = settings_for_tests(data_dir=tmp_path, redis_url=redis.url)
    with serving(settings, families()) as server:
        accepted = later(server.client).json()
    with serving(settings, families()) as server:
        shown = server.client.get(accepted["urls"]["get"]).json()
        assert (shown["id"], shown["status"]) == (accepted["id"], "starting")


def test_the_seed_is_accepted(server: LocalServer) -> None:
    answer = server.client.post("/process-image/async", files={"file": ("a.png", PNG)})
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert body["status"] == "processing"
    assert body["task_id"] == body["prediction_id"] == answer.headers["X-Prediction-ID"]
    assert answer.headers["Location"] == body["status_url"] == f"/task/{body['task_id']}"
    task = server.client.get(body["status_url"]).json()
    assert (task["task_id"], task["status"]) == (body["task_id"], "processing")
    assert task["result"] is task["error"] is None
