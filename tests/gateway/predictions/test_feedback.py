"""`POST /predictions/{id}/feedback`: kept once, all of it or nothing, before it is answered."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from services.core.ids import new_id
from services.core.settings import Settings
from services.gateway import examples
from services.gateway.feedback import MOST_BYTES
from services.ledger.database import feedback as stored
from services.ledger.database.tables import ATTACHED, FAILED, SENDING
from services.ledger.places import Places
from services.ledger.questions import MOST_ENTRIES
from tests.conftest import settings_for_tests
from tests.gateway.families import AdderFamily
from tests.gateway.predictions.conftest import Serve, opened, predict
from tests.ledger.database.made import feedback as judged
from tests.ledger.database.made import fill, record
from tests.support.local import serving


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def settings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Settings of one gateway for all tests here: each has predictions of its own."""
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


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A gateway that nothing is kept by."""
    settings = settings_for_tests(data_dir=tmp_path_factory.mktemp("data"), ledger_shipper="off")
    with serving(settings, AdderFamily()) as server:
        yield server.client


def say(client: httpx.Client, prediction_id: str, status: int = 201, **body: Any) -> list[Any]:
    answer = client.post(f"/predictions/{prediction_id}/feedback", json=body)
    assert answer.status_code == status, answer.text
    return list(answer.json()["feedback"]) if answer.is_success else []


def kept(client: httpx.Client, prediction_id: str) -> list[Any]:
    return list(client.get(f"/predictions/{prediction_id}").json()["feedback"])


def test_the_first_words_about_a_prediction(client: httpx.Client) -> None:
    prediction_id = predict(client)
    (entry,) = say(
        client, prediction_id, value=False, name="correct", rationale="It was a two.", source="ada"
    )
    assert entry["created_at"].endswith("+00:00") and entry["id"]
    assert entry.items() >= {
        "name": "correct", "kind": "feedback", "value": False, "rationale": "It was a two.",
        "source": "ada", "state": "pending",
    }.items()  # fmt: skip
    assert kept(client, prediction_id) == [entry]


def test_a_judgement_and_what_would_have_been_right(client: httpx.Client) -> None:
    prediction_id = predict(client)
    both = say(client, prediction_id, value=4, expected=2.5)
    assert [(one["name"], one["kind"], one["value"]) for one in both] == [
        ("feedback", "feedback", 4), ("expected", "expectation", 2.5)
    ]  # fmt: skip
    (third,) = say(client, prediction_id, expected=[1, None, "x"], name="mask")
    assert (third["name"], third["kind"]) == ("mask", "expectation")
    assert kept(client, prediction_id) == [*both, third]


@pytest.mark.parametrize(
    "value",
    [
        0,
        False,
        "",
        0.5,
        -1e300,
        4.0,
        2**63,
        [],
        {},
        "\u00fcml\u00e4ut \U0001f600 \\u0000",
        {"a": [{"b": None}]},
    ],
)
def test_any_json_value_comes_back(client: httpx.Client, value: Any) -> None:
    prediction_id = predict(client)
    (entry,) = say(client, prediction_id, value=value)
    assert entry["value"] == value
    assert isinstance(entry["value"], bool) == isinstance(value, bool)
    assert kept(client, prediction_id)[0]["value"] == value
    say(client, prediction_id, 200, value=value, id=entry["id"])


def test_the_same_id_twice_is_kept_once(client: httpx.Client) -> None:
    prediction_id, own = predict(client), new_id()
    body: dict[str, Any] = {"value": True, "expected": 1, "rationale": "why", "id": own.upper()}
    first = say(client, prediction_id, **body)
    assert first[0]["id"] == own
    assert say(client, prediction_id, 200, **body) == first
    assert kept(client, prediction_id) == first


@pytest.mark.parametrize(
    "change",
    [{"value": 1}, {"expected": 2}, {"rationale": "x"}, {"source": "x"}, {"name": "x"},
     {"expected": None}, {"value": None}],
)  # fmt: skip
def test_the_same_id_for_something_else_is_refused(
    client: httpx.Client, change: dict[str, Any]
) -> None:
    prediction_id = predict(client)
    body: dict[str, Any] = {"value": True, "expected": 1, "id": new_id()}
    first = say(client, prediction_id, **body)
    changed = {name: value for name, value in {**body, **change}.items() if value is not None}
    say(client, prediction_id, 409, **changed)
    say(client, predict(client), 409, **body)
    assert kept(client, prediction_id) == first


def test_an_id_of_one_entry_is_not_stretched_to_two(client: httpx.Client) -> None:
    prediction_id, own = predict(client), new_id()
    say(client, prediction_id, value=True, id=own)
    say(client, prediction_id, 409, value=True, expected=1, id=own)
    assert len(kept(client, prediction_id)) == 1


def test_many_at_the_same_time(client: httpx.Client) -> None:
    """The same words from impatient callers, and others between them."""
    prediction_id, own = predict(client), new_id()
    bodies = [{"value": "same", "expected": 1, "id": own}] * 12
    bodies += [{"value": number} for number in range(12)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda body: client.post(f"/predictions/{prediction_id}/feedback", json=body),
                bodies,
            )
        )
    assert sorted(answer.status_code for answer in answers[:12]) == [200] * 11 + [201]
    assert {answer.status_code for answer in answers[12:]} == {201}
    assert len(kept(client, prediction_id)) == 14


def test_before_and_after_it_is_in_the_database(client: httpx.Client, settings: Settings) -> None:
    made = record()
    with opened(settings) as database:
        say(client, made.id, 404, value=1)
        fill(database, [made])
        say(client, made.id, value=1)
        early = predict(client)
        say(client, early, value=2)
        with database.reading() as connection:
            waiting = stored.pending(connection, 10_000)
    mine = [one for one in waiting if one.prediction_id in (made.id, early)]
    assert [(one.prediction_id, one.value) for one in mine] == [(made.id, 1), (early, 2)]


def test_it_shows_how_far_it_came(client: httpx.Client, settings: Settings) -> None:
    prediction_id = predict(client)
    ids = [say(client, prediction_id, value=number)[0]["id"] for number in range(4)]
    with opened(settings) as database, database.begin() as connection:
        for own, state in zip(ids[1:], (SENDING, ATTACHED, FAILED), strict=True):
            stored.set_state(connection, own, state)
    states = [one["state"] for one in kept(client, prediction_id)]
    assert states == ["pending", "pending", "attached", "failed"]


def test_there_is_an_end_to_it(client: httpx.Client, settings: Settings) -> None:
    prediction_id, own = predict(client), new_id()
    say(client, prediction_id, value=0, id=own)
    with opened(settings) as database, database.begin() as connection:
        for _ in range(MOST_ENTRIES - 2):
            stored.add_feedback(connection, judged(prediction_id))
    say(client, prediction_id, value=1)
    say(client, prediction_id, 409, value=1)
    # What is there already may still be said again.
    say(client, prediction_id, 200, value=0, id=own)
    assert len(kept(client, prediction_id)) == MOST_ENTRIES


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({}, 422, "value"),
        ({"value": None}, 422, "value"),
        ({"rationale": "canary"}, 422, "value"),
        ({"value": 1, "canary": 2}, 422, "body"),
        ({"value": 1, "rationale": "canary" * 700}, 422, "rationale"),
        ({"value": 1, "source": "canary" * 30}, 422, "source"),
        ({"value": 1, "name": ""}, 422, "name"),
        ({"value": 1, "name": "canary" * 30}, 422, "name"),
        ({"value": 1, "name": 7}, 422, "name"),
        ({"value": 1, "rationale": "canary\0"}, 422, "rationale"),
        ({"value": 1, "id": "canary"}, 422, "id"),
        ({"value": 1, "id": 7}, 422, "id"),
        ({"value": "canary" * MOST_BYTES}, 413, "value"),
        ({"expected": ["canary"] * MOST_BYTES}, 413, "expected"),
        (["canary"], 422, "body"),
    ],
)
def test_what_is_refused(refusing: httpx.Client, body: Any, status: int, where: str) -> None:
    prediction_id = predict(refusing)
    answer = refusing.post(f"/predictions/{prediction_id}/feedback", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["where"]) == (status, where), answer.text
    assert error["expected"] and "canary" not in answer.text
    assert kept(refusing, prediction_id) == []


def test_what_is_no_json(refusing: httpx.Client) -> None:
    path = f"/predictions/{predict(refusing)}/feedback"
    for content, status in ((b"{canary", 400), (b"", 422), (b'{"value": NaN}', 400)):
        answer = refusing.post(path, content=content)
        assert answer.status_code == status and b"canary" not in answer.content
    answer = refusing.post(path, content=b"value=1", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert refusing.post(path.replace("predictions/0", "predictions/x"), json={}).status_code == 422
    assert refusing.post(f"/predictions/{new_id()}/feedback", json={"value": 1}).status_code == 404


def test_the_examples_work(refusing: httpx.Client) -> None:
    prediction_id = predict(refusing)
    for example in examples.FEEDBACK.values():
        say(refusing, prediction_id, **example["value"])
    # They work a second time as well.
    for example in examples.FEEDBACK.values():
        say(refusing, predict(refusing), **example["value"])


def test_it_outlives_the_gateway(serve: Serve, settings: Settings) -> None:
    with serving(settings, AdderFamily()) as server:
        prediction_id = predict(server.client)
        entries = say(server.client, prediction_id, value=1, expected=2)
    assert kept(serve(settings).client, prediction_id) == entries


def test_a_database_that_takes_nothing(refusing: httpx.Client, tmp_path: Any) -> None:
    """Nothing of a request with two entries is kept when the second one cannot be."""
    settings = settings_for_tests(data_dir=tmp_path, ledger_shipper="off")
    with serving(settings, AdderFamily()) as server, opened(settings) as database:
        prediction_id = predict(server.client)
        with database.begin() as connection:
            connection.exec_driver_sql(
                "CREATE TRIGGER no_expectations BEFORE INSERT ON feedback"
                " WHEN NEW.kind = 'expectation' BEGIN SELECT RAISE(ABORT, 'full'); END"
            )
        answer = server.client.post(
            f"/predictions/{prediction_id}/feedback", json={"value": 1, "expected": 2}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ledger_unavailable")
        assert answer.headers["Retry-After"] == "5"
        assert kept(server.client, prediction_id) == []
        with database.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER no_expectations")
        assert len(say(server.client, prediction_id, value=1, expected=2)) == 2
    assert Places(settings.data_dir).database.exists()
