"""Webhooks arrive signed, again after a failure, and never where they must not go."""

import base64
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from services.core.settings import Settings
from services.jobs import webhooks
from services.jobs.webhooks import deliver_due
from services.ledger.database import deliveries, job_totals
from services.ledger.database.deliveries import Delivery
from services.ledger.database.job_tables import DELIVERED, DUE, GIVEN_UP
from services.ledger.database.opening import Database, open_database
from services.ledger.database.tables import metadata
from tests.conftest import MakeSettings
from tests.jobs.receiver import receiving
from tests.support.patience import AT_ONCE, PATIENCE
from tests.support.postgres import postgres_server as postgres_server
from tests.support.postgres import postgres_url as postgres_url

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = '{"type":"completed","data":{"id":"1","text":"Grüße"}}'
JOB = "01940000-0000-7000-8000-000000000001"


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings(webhook_secret=SECRET, webhook_allow_private=True)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings)
    with closing(opened):
        yield opened


def add(database: Database, *urls: str) -> list[str]:
    now = int(time.time() * 1e6)
    with database.begin() as connection:
        return [deliveries.add(connection, JOB, "completed", url, BODY, now) for url in urls]


def rows(database: Database) -> list[Delivery]:
    with database.reading() as connection:
        return deliveries.of_job(connection, JOB)


def make_due(database: Database) -> None:
    """Let the time pass until the next try."""
    table = metadata.tables["deliveries"]
    with database.begin() as connection:
        connection.execute(table.update().values(due=0))


def test_it_arrives_signed(settings: Settings, database: Database) -> None:
    with receiving() as receiver:
        (id,) = add(database, receiver.url("/hook?job=1"))
        assert deliver_due(settings, database) == 1
        assert deliver_due(settings, database) == 0
    (post,) = receiver.posts
    assert post.path == "/hook?job=1"
    assert post.body == BODY.encode()
    assert post.headers["content-type"] == "application/json"
    assert post.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert post.id == id
    assert abs(int(post.headers["webhook-timestamp"]) - time.time()) < 60
    assert post.signed_by(KEY)
    assert not replace(post, body=post.body + b" ").signed_by(KEY)
    assert not post.signed_by(KEY[:-1])
    (row,) = rows(database)
    assert (row.state, row.attempts, row.last_error) == (DELIVERED, 1, None)


def test_a_failure_is_tried_again_under_the_same_id(settings: Settings, database: Database) -> None:
    with receiving(lambda number: 200 if number else 500) as receiver:
        (id,) = add(database, receiver.url())
        began = time.time()
        assert deliver_due(settings, database) == 0
        (row,) = rows(database)
        assert (row.state, row.attempts, row.last_error) == (DUE, 1, "status 500")
        assert 4 <= row.due / 1e6 - began <= 60
        # Not before it is due.
        assert deliver_due(settings, database) == 0
        make_due(database)
        assert deliver_due(settings, database) == 1
    assert [post.id for post in receiver.posts] == [id, id]
    assert all(post.signed_by(KEY) for post in receiver.posts)
    (row,) = rows(database)
    assert (row.state, row.attempts) == (DELIVERED, 2)


def test_who_is_gone_is_left_alone(settings: Settings, database: Database) -> None:
    with receiving(lambda number: 410) as receiver:
        add(database, receiver.url())
        deliver_due(settings, database)
        make_due(database)
        deliver_due(settings, database)
    assert len(receiver.posts) == 1
    (row,) = rows(database)
    assert (row.state, row.last_error) == (GIVEN_UP, "status 410")
    with database.reading() as connection:
        assert job_totals.read(connection) == {"webhooks_given_up": 1}


def test_it_is_given_up_in_the_end(settings: Settings, database: Database) -> None:
    with receiving(lambda number: 503) as receiver:
        add(database, receiver.url())
        waits = []
        for _ in range(20):
            deliver_due(settings, database)
            (row,) = rows(database)
            if row.state != DUE:
                break
            waits.append(row.due / 1e6 - time.time())
            make_due(database)
    assert (row.state, row.attempts) == (GIVEN_UP, len(receiver.posts))
    assert len({post.id for post in receiver.posts}) == 1
    # Each wait is longer than the one before; all in all it is more than a day.
    assert waits == sorted(waits)
    assert sum(waits) > 86_400


def test_a_redirect_leads_nowhere(settings: Settings, database: Database) -> None:
    with receiving(lambda number: 307) as receiver:
        add(database, receiver.url())
        assert deliver_due(settings, database) == 0
    assert [post.path for post in receiver.posts] == ["/hook"]
    assert rows(database)[0].last_error == "status 307"


def test_nothing_is_sent_unsigned(make_settings: MakeSettings, database: Database) -> None:
    with receiving() as receiver:
        add(database, receiver.url())
        assert deliver_due(make_settings(webhook_allow_private=True), database) == 0
    assert not receiver.posts
    assert rows(database)[0].attempts == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost"])
def test_a_name_that_leads_home_is_not_connected_to(
    make_settings: MakeSettings, database: Database, host: str
) -> None:
    """What stood at the door's test is not what counts: the name is looked up, and then judged."""
    strict = make_settings(webhook_secret=SECRET)
    with receiving() as receiver:
        assert {a[4][0] for a in socket.getaddrinfo(host, receiver.port)} <= {"127.0.0.1", "::1"}
        add(database, receiver.url(host=host))
        assert deliver_due(strict, database) == 0
    assert not receiver.posts
    (row,) = rows(database)
    assert (row.state, row.last_error) == (DUE, "private address")


def test_one_bad_address_holds_up_no_other(settings: Settings, database: Database) -> None:
    with receiving() as receiver, closing(socket.create_server(("127.0.0.1", 0))) as dead:
        nobody = dead.getsockname()[1]
        dead.close()
        bad = [f"http://127.0.0.1:{nobody}/", f"http://{64 * 'x'}.example/", "no address"]
        bad.append(f"http://{receiver.port}.invalid/")
        add(database, *bad, receiver.url())
        assert deliver_due(settings, database) == 1
    assert len(receiver.posts) == 1
    assert [row.state for row in rows(database)] == [DUE] * len(bad) + [DELIVERED]
    assert all(row.last_error for row in rows(database)[:-1])


def test_a_name_server_that_is_silent_holds_up_nobody(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = socket.getaddrinfo, threading.Event()

    def slow(host: Any, *others: Any, **more: Any) -> Any:
        if host == "slow.example":
            asked.wait(PATIENCE)
        return real(host, *others, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(webhooks, "_PATIENCE", 0.5)
    with receiving() as receiver:
        add(database, "http://slow.example/", receiver.url())
        began = time.monotonic()
        try:
            assert deliver_due(settings, database) == 1
            assert time.monotonic() - began < AT_ONCE
        finally:
            asked.set()
    assert [row.last_error for row in rows(database)] == ["no answer in time", None]


def test_an_address_that_is_dead_is_followed_by_the_next(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def two(host: Any, port: Any, *others: Any, **more: Any) -> Any:
        if host != "two.example":
            return real(host, port, *others, **more)
        # Nobody listens there.
        return [*real("127.0.0.2", port, type=socket.SOCK_STREAM), *real("127.0.0.1", port)]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with receiving() as receiver:
        add(database, receiver.url(host="two.example"))
        assert deliver_due(settings, database) == 1
    assert receiver.posts[0].headers["host"] == f"two.example:{receiver.port}"


def test_two_deliverers_send_each_once(settings: Settings, database: Database) -> None:
    send_each_once(settings, database)


def test_two_deliverers_send_each_once_from_postgresql(
    make_settings: MakeSettings, postgres_url: str
) -> None:
    settings = make_settings(
        webhook_secret=SECRET, webhook_allow_private=True, ledger_database_url=postgres_url
    )
    with closing(open_database(settings)) as database:
        send_each_once(settings, database)


def send_each_once(settings: Settings, database: Database) -> None:
    arrived: list[int] = []

    def deliver(gate: threading.Barrier) -> None:
        with closing(open_database(settings)) as own:
            gate.wait(PATIENCE)
            arrived.append(deliver_due(settings, own))

    with receiving() as receiver:
        ids = add(database, *(receiver.url() for _ in range(80)))
        gate = threading.Barrier(2)
        threads = [threading.Thread(target=deliver, args=(gate,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        # Who found nothing more to take has left the rest to the other.
        assert sum(arrived) == 80
    assert Counter(post.id for post in receiver.posts) == Counter(ids)
    with database.reading() as connection:
        assert deliveries.pending(connection) == 0
        assert job_totals.read(connection) == {"webhooks_delivered": 80}


def test_a_deliverer_that_died_is_followed_by_another(
    settings: Settings, database: Database
) -> None:
    """Claimed, and nobody said how it went: it is due again after a minute."""
    now = int(time.time() * 1e6)
    with receiving() as receiver:
        add(database, receiver.url())
        with database.begin() as connection:
            (claimed,) = deliveries.due(connection, now + 1_000_000, now + 60_000_000, 32)
        assert deliver_due(settings, database) == 0
        assert rows(database)[0].due == claimed.due
        make_due(database)
        assert deliver_due(settings, database) == 1
    assert [post.id for post in receiver.posts] == [claimed.id]


@pytest.mark.slow
def test_a_server_that_trickles_takes_ten_seconds_and_no_more(
    settings: Settings, database: Database
) -> None:
    """A byte now and then keeps every timeout of a single read from being reached."""
    listener, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def trickle() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not over.wait(0.2):
                try:
                    connection.sendall(b"X-A: b\r\n")
                except OSError:
                    return

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        add(database, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        began = time.monotonic()
        assert deliver_due(settings, database) == 0
        assert 9 < time.monotonic() - began < 10 + AT_ONCE
    finally:
        over.set()
        thread.join(PATIENCE)
        listener.close()
    assert rows(database)[0].last_error == "no answer in time"
