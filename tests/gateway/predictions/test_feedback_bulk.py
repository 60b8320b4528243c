"""`POST /predictions/feedback`: many at once, each kept or refused by itself."""

from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from services.core.ids import new_id
from services.core.settings import Settings
from services.gateway import examples
from services.gateway.feedback_bulk import MOST_ITEMS
from services.ledger.database import judgements
from tests.conftest import settings_for_tests
from tests.gateway.families import AdderFamily
from tests.gateway.predictions.conftest import opened, predict
from tests.ledger.database.made import fill, record
from tests.support.local import serving

PATH = "/predictions/feedback"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def settings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    folder, url, server = tmp_path_factory.mktemp("data"), None, None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        url = server.new_database()
    yield settings_for_tests(data_dir=folder, ledger_shipper="off", ledger_database_url=url)
    if server is not None:
        server.drop_database(url)


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[httpx.Client]:
    with serving(settings, AdderFamily()) as server:
        yield server.client


def send(client: httpx.Client, items: list[Any], status: int = 200) -> dict[str, Any]:
    answer = client.post(PATH, json=items)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def item(prediction_id: str, **values: Any) -> dict[str, Any]:
    return {"prediction_id": prediction_id, **values}


def kept(client: httpx.Client, prediction_id: str) -> list[Any]:
    found = client.get(f"/predictions/{prediction_id}").json()["feedback"]
    return [one["value"] for one in found]


def test_one_bad_item_loses_no_other(client: httpx.Client, settings: Settings) -> None:
    """Those in the database and those only in the journal, and whatever is wrong in between."""
    indexed = record(output={"predictions": ["a"], "classes": ["a", "b"]})
    early = predict(client)
    with opened(settings) as database:
        fill(database, [indexed], number=7)
    answer = send(
        client,
        [
            item(early, expected=3.0),
            item(new_id(), expected=3.0),
            item(early, expected="three"),
            "nonsense",
            item(indexed.id, expected="b", value="hm", source="ada"),
            item("no id", expected=1),
            item(early),
            {"expected": 1},
            item(indexed.id, expected="c"),
            item(early, expected=4.5),
        ],
    )
    results = answer["results"]
    assert [one["index"] for one in results] == list(range(10))
    statuses = [one["status"] for one in results]
    assert statuses == [201, 404, 422, 422, 201, 422, 422, 422, 422, 201]
    assert (answer["kept"], answer["repeated"], answer["refused"]) == (3, 0, 7)
    assert results[8]["error"]["expected"] == "a, b" and results[8]["error"]["where"] == "expected"
    assert "three" not in str(results[2]) and results[2]["error"]["received"]
    assert [one.get("correct") for one in results if one["status"] == 201] == [None, False, None]
    assert kept(client, early) == [3.0, 4.5]
    # The last one follows from the wrong answer.
    assert kept(client, indexed.id) == ["hm", "b", False]
    with opened(settings) as database, database.reading() as connection:
        newest = judgements.find(connection, early)
    assert newest is not None and (newest.answer, newest.truth) == ([3.0], [4.5])


def test_sent_again_nothing_is_added(client: httpx.Client) -> None:
    ids = [predict(client) for _ in range(3)]
    items = [item(id, expected=1.5, id=new_id()) for id in ids]
    assert send(client, items)["kept"] == 3
    again = send(client, items)
    assert (again["kept"], again["repeated"]) == (0, 3)
    changed = send(client, [{**items[0], "expected": 2.5}, items[1]])
    assert [one["status"] for one in changed["results"]] == [409, 200]
    assert all(kept(client, id) == [1.5] for id in ids)


def test_lines_of_json(client: httpx.Client) -> None:
    ids = [predict(client) for _ in range(2)]
    lines = [orjson.dumps(item(id, expected=3.0)) for id in ids]
    body = b"\n".join([lines[0], b"", b"{broken", lines[1], b""])
    answer = client.post(PATH, content=body, headers={"Content-Type": "application/x-ndjson"})
    assert [one["status"] for one in answer.json()["results"]] == [201, 400, 201]
    assert all(kept(client, id) == [3.0] for id in ids)


def test_more_than_one_transaction(client: httpx.Client, settings: Settings) -> None:
    made = [record() for _ in range(60)]
    with opened(settings) as database:
        fill(database, made, number=8)
    answer = send(client, [item(one.id, value=True) for one in made])
    assert answer["kept"] == 60
    with opened(settings) as database, database.reading() as connection:
        counts = judgements.counts(connection)
    assert counts["credit", "1", "feedback"] >= 60


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"[]", "application/json", 422),
        (b"{}", "application/json", 422),
        (b"[", "application/json", 400),
        (b"", "application/json", 422),
        (b"\n \n", "application/x-ndjson", 422),
        (b"a,b", "text/csv", 415),
        (b"[" + b"1," * MOST_ITEMS + b"1]", "application/json", 413),
        (b"1\n" * (MOST_ITEMS + 1), "application/x-ndjson", 413),
    ],
)
def test_what_is_refused_as_a_whole(
    client: httpx.Client, content: bytes, kind: str, status: int
) -> None:
    answer = client.post(PATH, content=content, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["expected"]


def test_it_takes_no_other_method(client: httpx.Client) -> None:
    answer = client.get(PATH)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_the_examples_are_understood(client: httpx.Client) -> None:
    """Their ids are nobody's."""
    for example in examples.FEEDBACK_ITEMS.values():
        results = send(client, example["value"])["results"]
        assert {one["status"] for one in results} == {404}


def test_nothing_is_recorded(tmp_path: Any) -> None:
    with serving(settings_for_tests(data_dir=tmp_path, ledger=False), AdderFamily()) as server:
        answer = send(server.client, [item(new_id(), value=1)])
        assert answer["results"][0]["error"]["expected"] == "LEDGER=true"
