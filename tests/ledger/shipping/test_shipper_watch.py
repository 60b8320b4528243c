"""How MLflow is, as the status says it, and how many letters lie about."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from services.core.settings import Settings
from services.ledger.database.opening import Database
from services.ledger.places import Places
from services.ledger.shipping.watch import Watch
from tests.conftest import MakeSettings, settings_for_tests
from tests.support.mlflow_server import free_port


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Something that answers everything with this status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def unused() -> Database:
    """The database, which this stage does not ask."""
    return None  # type: ignore[return-value]


def seen(settings: Settings, database: Database) -> object:
    watch = Watch(settings, database, Places(settings.data_dir))
    assert not watch.step()
    watch.close()
    return watch.status()["mlflow"]


@pytest.mark.parametrize(
    ("status", "state"), [(200, "up"), (401, "up"), (404, "up"), (502, "down"), (503, "down")]
)
def test_whoever_answers_is_there(
    make_settings: MakeSettings, unused: Database, status: int, state: str
) -> None:
    with answering(status) as address:
        assert seen(make_settings(mlflow_tracking_uri=address), unused) == state


def test_nobody_is_down(make_settings: MakeSettings, unused: Database) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    assert seen(make_settings(mlflow_tracking_uri=address), unused) == "down"


def test_who_takes_connections_and_says_nothing_is_down(
    make_settings: MakeSettings, unused: Database
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert seen(make_settings(mlflow_tracking_uri=address), unused) == "down"


def test_files_are_always_up(tmp_path: Path, make_settings: MakeSettings, unused: Database) -> None:
    assert seen(make_settings(), unused) == "none"
    (tmp_path / "mlflow.db").touch()
    settings = make_settings(mlflow_tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    assert seen(settings, unused) == "up"


def test_letters_are_counted_as_they_come_and_go(tmp_path: Path, unused: Database) -> None:
    places = Places(tmp_path)
    watch = Watch(settings_for_tests(data_dir=tmp_path), unused, places)

    def count() -> object:
        watch.step()
        return watch.status()["dead_letters"]

    assert count() == 0
    places.dead.mkdir(parents=True)
    (places.dead / "traces.jsonl").write_text("{}\n{}\n")
    (places.dead / "parquet-a.jsonl").write_text("{}\n")
    (places.dead / "parquet-b.new").write_text("{}\n")
    assert count() == 3
    (places.dead / "traces.jsonl").write_text("{}\n")
    assert count() == 2
    (places.dead / "traces.jsonl").unlink()
    assert count() == 1
    watch.close()
