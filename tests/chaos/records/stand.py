"""A gateway, a shipper and an MLflow, each a process of its own that may die at any time."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from services.ledger.places import Places
from services.ledger.reading import OPEN, SEALED, read, segments
from tests.chaos.records.processes import Mlflow, Program
from tests.gateway.constants import Constants
from tests.support.mlflow_server import free_port
from tests.support.patience import PATIENCE

MODEL = "ml_classifier"
EXPERIMENT = "slipway-predictions"
# Generous: the machine may be busy with other things.
_LOOK_SECONDS = 0.02


class Stand:
    """The three of them around one DATA_DIR.

    Attributes:
        port: of the gateway, the same in all its lives.
        data: DATA_DIR.
    """

    def __init__(self, folder: Path, mlflow: Mlflow, **settings: Any) -> None:
        self.folder = folder
        self.mlflow = mlflow
        self.port = free_port()
        self._database_url: str | None = settings.get("LEDGER_DATABASE_URL")
        self.data = folder / "data"
        self.data.mkdir(parents=True)
        common = {
            "DATA_DIR": self.data,
            "MLFLOW_TRACKING_URI": mlflow.uri,
            "LEDGER_SEGMENT_SECONDS": 1,
            "NUM_THREADS": 1,
            **settings,
        }
        self.gateway = Program(
            "services.gateway",
            folder,
            {**common, "PORT": self.port, "SERVE_MODELS": MODEL, "LEDGER_SHIPPER": "off"},
        )
        self.shipper = Program("services.ledger", folder, common)

    @property
    def places(self) -> Places:
        """The ledger's paths."""
        return Places(self.data)

    @property
    def database(self) -> Path | str:
        """The ledger's: the file of SQLite, or the address of PostgreSQL."""
        return self._database_url or self.places.database

    @property
    def url(self) -> str:
        """The gateway's address."""
        return f"http://127.0.0.1:{self.port}"

    def status(self) -> dict[str, Any]:
        """Return what the shipper said last; empty if it has not said anything."""
        try:
            found: dict[str, Any] = json.loads(self.places.status.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return found

    def shipper_at_work(self) -> bool:
        """Say whether the shipper of this life has reported."""
        return bool(self.status().get("pid") == self.shipper.pid)

    def wait_ready(self) -> None:
        """Wait until the gateway predicts."""

        def ready() -> bool:
            assert self.gateway.alive, self.gateway.tail()
            try:
                return httpx.get(f"{self.url}/health/ready", timeout=5).is_success
            except httpx.TransportError:
                return False

        wait_for(ready, PATIENCE, self.gateway.tail)

    def wait_shipped(self, seconds: float) -> None:
        """Wait until everything is in MLflow and the journal holds no record any more."""
        nothing = ("pending", "unindexed_bytes", "trace_backlog")

        def shipped() -> bool:
            assert self.shipper.alive, self.shipper.tail()
            status = self.status()
            # The first words of a shipper say nothing: it has not looked yet.
            said = self.shipper_at_work() and all(status[name] == 0 for name in nothing)
            return said and not any(read(one, 0).records for one in segments(self.places.journal))

        wait_for(shipped, seconds, lambda: f"{self.status()}\n{self.shipper.tail()}")

    def stop(self) -> None:
        """End the gateway and the shipper."""
        self.gateway.stop()
        self.shipper.stop()


def wait_for(
    condition: Callable[[], bool], seconds: float, explain: Callable[[], str] = lambda: ""
) -> None:
    """Wait until it holds.

    Raises:
        AssertionError: it does not in time; with the explanation.
    """
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s: {explain()}"
        time.sleep(_LOOK_SECONDS)


def wait_taken(places: Places, explain: Callable[[], str]) -> None:
    """Wait until every segment that holds a record now has been shipped and deleted.

    A gateway that lives always has one open, and more may come meanwhile.
    """
    held = [one.path for one in segments(places.journal) if read(one, 0).records]
    assert held
    paths = [path.with_suffix(end) for path in held for end in (OPEN, SEALED)]
    wait_for(lambda: not any(path.exists() for path in paths), 120, explain)


@contextmanager
def stand(folder: Path, mlflow: Mlflow, **settings: Any) -> Iterator[Stand]:
    """Set one up for the block, its gateway ready; MLflow knows its model already."""
    made = Stand(folder, mlflow, **settings)
    try:
        made.gateway.start()
        made.wait_ready()
        yield made
    finally:
        made.stop()


def register(mlflow: Mlflow, folder: Path) -> None:
    """Put a tabular model into production on a server."""
    folder.mkdir()
    model = Constants(mlflow, MODEL, folder)
    model.alias(model.add())
