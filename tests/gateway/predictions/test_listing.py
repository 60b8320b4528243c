"""`GET /predictions`: filters, pages, and what is refused."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from services.core.settings import Settings
from services.gateway import prediction_filters
from tests.gateway.predictions.conftest import Serve, opened
from tests.ledger.database.made import NOON, fill, record
from tests.support.patience import PATIENCE

_SUMMARY = {
    "id", "status", "model", "version", "stage", "mode", "caller", "request_id", "created_at",
    "started_at", "completed_at", "error", "cached", "confidence", "metrics", "links",
}  # fmt: skip


def listed(client: httpx.Client, query: str) -> list[dict[str, Any]]:
    answer = client.get(f"/predictions?{query}")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["predictions"])


def all_pages(client: httpx.Client, path: str | None) -> list[list[str]]:
    found = []
    while path is not None:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        found.append([one["id"] for one in answer.json()["predictions"]])
        path = answer.json()["next"]
    return found


def test_filters(client: httpx.Client, settings: Settings) -> None:
    made = {
        "plain": record(),
        "model": record(model="other"),
        "version": record(version="2"),
        "failed": record(status="failed", error={"code": "x", "message": "y", "phase": "queue"}),
        "batch": record(mode="batch"),
        "caller": record(caller="ada & bob"),
    }
    with opened(settings) as database:
        fill(database, list(made.values()))
    ids = {one.id: name for name, one in made.items()}
    for query, names in (
        ("model=other", {"model"}),
        ("version=2", {"version"}),
        ("model=credit&version=1&status=succeeded&mode=sync", {"plain", "caller"}),
        ("status=failed", {"failed"}),
        ("status=canceled", set()),
        ("mode=batch", {"batch"}),
        ("caller=ada+%26+bob", {"caller"}),
        ("model=nobody", set()),
        ("", set(made)),
    ):
        assert {ids[one["id"]] for one in listed(client, query)} == names, query
    (failed,) = listed(client, "status=failed")
    assert set(failed) == _SUMMARY
    assert failed["error"] == {
        "code": "x", "message": "y", "where": None, "expected": None, "phase": "queue"
    }  # fmt: skip


def test_pages(client: httpx.Client, settings: Settings) -> None:
    """Many of the same microsecond, and more that come while the pages are read."""
    made = [record(time=NOON + number // 10) for number in range(45)]
    with opened(settings) as database:
        fill(database, made)
        first = client.get("/predictions?limit=7&model=credit").json()
        fill(database, [record(time=NOON + 100) for _ in range(5)], number=2)
        pages = [[one["id"] for one in first["predictions"]], *all_pages(client, first["next"])]
    assert [len(page) for page in pages] == [7] * 6 + [3]
    found = [one for page in pages for one in page]
    assert len(found) == 45 and set(found) == {one.id for one in made}
    times = {one.id: (one.time, one.id) for one in made}
    assert all(times[one] > times[two] for one, two in pairwise(found))
    # Times beyond the calendar.
    far = "/predictions?limit=25&since=999999999d&until=9999-12-31T23:59:59-23:59"
    assert [len(page) for page in all_pages(client, far)] == [25, 25]
    # A last page that is full has no empty one behind it.
    assert [len(page) for page in all_pages(client, "/predictions?limit=25")] == [25, 25]


def test_the_next_page_keeps_filters_and_times(client: httpx.Client, settings: Settings) -> None:
    now = datetime.now(UTC).timestamp()
    with opened(settings) as database:
        fill(database, [record(time=now - 60, model="a b&c") for _ in range(5)])
        fill(database, [record(time=now - 7200, model="a b&c"), record(time=now)], number=2)
    path = "/predictions?limit=2&model=a+b%26c&since=1h&include=input&version=1"
    assert [len(page) for page in all_pages(client, path)] == [2, 2, 1]
    answer = client.get(client.get(path).json()["next"]).json()
    assert all("input" in one for one in answer["predictions"])


def test_times(client: httpx.Client, settings: Settings) -> None:
    with opened(settings) as database:
        fill(database, [record(time=NOON + number) for number in range(4)])
    for query, count in (
        ("since=2026-11-21T12:00:01Z", 3),
        ("since=2026-11-21T12:00:01.5Z", 2),
        ("since=2026-11-21T14:00:01%2B02:00", 3),
        # As a plus sign arrives that nobody encoded.
        ("since=2026-11-21T14:00:01+02:00", 3),
        ("since=2026-11-21T12:00:01", 3),
        ("since=2026-11-21+12:00:01", 3),
        ("until=2026-11-21T12:00:01Z", 1),
        ("since=2026-11-21T12:00:01Z&until=2026-11-21T12:00:03Z", 2),
        ("since=2026-11-21", 4),
        ("until=2026-11-21", 0),
        ("since=30000d", 4),
        ("until=30000d", 0),
        ("since=999999999d&limit=1&until=9999-12-31T23:59:59-23:59", 1),
    ):
        assert len(listed(client, query)) == count, query


def test_ages(client: httpx.Client, settings: Settings) -> None:
    now = datetime.now(UTC)
    ages = {"20s": 10, "15m": 600, "15min": 600, "2h": 5400, "7d": 500_000}
    with opened(settings) as database:
        times = [(now - timedelta(seconds=age)).timestamp() for age in (10, 600, 5400, 500_000)]
        fill(database, [record(time=time) for time in times])
    assert [len(listed(client, f"since={age}")) for age in ages] == [1, 2, 2, 3, 4]
    assert len(listed(client, "since=2h&until=15m")) == 1


def test_input_and_output_on_request(client: httpx.Client, settings: Settings) -> None:
    with opened(settings) as database:
        fill(database, [record(input={"a": None}, output=None)])
    (plain,) = listed(client, "")
    assert set(plain) == _SUMMARY
    (both,) = listed(client, "include=input,output")
    assert (both["input"], both["output"]) == ({"a": None}, None)
    (one,) = listed(client, "include=output")
    assert "input" not in one and "output" in one


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("status=canary", "status"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=canary", "limit"),
        ("since=canary", "since"),
        ("since=15y", "since"),
        ("since=-5m", "since"),
        ("since=1e400d", "since"),
        ("since=99999999999999d", "since"),
        ("until=0000-00-00", "until"),
        ("since=1h&until=2h", "since"),
        ("after=canary", "after"),
        ("after=%FF%FE", "after"),
        ("after=", "after"),
        (f"after={'A' * 121}", "after"),
        ("include=canary", "include"),
        ("include=", "include"),
        ("mode=CANARY!", "mode"),
        ("version=a%20b", "version"),
        ("model=", "model"),
        (f"model={'x' * 251}", "model"),
    ],
)
def test_what_is_refused(refusing: httpx.Client, query: str, where: str) -> None:
    answer = refusing.get(f"/predictions?{query}")
    error = answer.json()["error"]
    assert (answer.status_code, error["where"]) == (422, where), answer.text
    assert error["expected"] or error["message"]
    assert "canary" not in answer.text.lower()


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A gateway for requests that are all refused."""
    from tests.conftest import settings_for_tests
    from tests.support.local import serving

    settings = settings_for_tests(data_dir=tmp_path_factory.mktemp("data"), ledger_shipper="off")
    with serving(settings) as server:
        yield server.client


@pytest.mark.parametrize("time", [0, 1, 1_795_262_400_000_000, 1_795_262_400_123_456])
def test_times_and_cursors_come_back_as_they_were(time: int) -> None:
    assert prediction_filters.moment(prediction_filters.iso(time), "since") == time
    position = (time, "0198f1c2-7a52-7c39-b6a1-5d5a3f0b9c12")
    assert prediction_filters.cursor(prediction_filters.token(position)) == position


@pytest.mark.slow
def test_what_the_shipper_indexes_is_listed_soon(serve: Serve, settings: Settings) -> None:
    import time

    from tests.gateway.predictions.conftest import predict

    client = serve(settings.model_copy(update={"ledger_shipper": "thread"})).client
    prediction_id = predict(client)
    until = time.monotonic() + PATIENCE
    while not listed(client, ""):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert [one["id"] for one in listed(client, "model=adder")] == [prediction_id]
