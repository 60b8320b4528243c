"""A worker's models: those of the registry, loaded once, and followed without a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.jobs import payloads
from services.ledger.database.job_rows import SUCCEEDED
from tests.gateway.constants import FEATURES, Constants, answer_of
from tests.support.jobs_stand import Stand, wait
from tests.support.mlflow_server import MlflowServer
from tests.support.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

pytestmark = pytest.mark.slow
NAME = "constant"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path / "mlflow")
    yield server
    server.stop()


def test_a_promotion_reaches_the_worker(server: MlflowServer, tmp_path: Path) -> None:
    model = Constants(server, NAME, tmp_path / "versions")
    model.add()
    model.add()
    model.alias("1")
    payload = {"inputs": [[0.0] * FEATURES]}
    with Stand(tmp_path / "stand", mlflow_tracking_uri=server.uri, serve_models=NAME) as stand:
        worker = stand.start("services.worker", "interactive")
        worker.wait_for("ready.")
        (child,) = worker.children()

        def answer() -> tuple[str, str]:
            job = stand.ended(stand.submit(payload, subject=NAME), 150)
            assert job.state == SUCCEEDED, (job.error, worker.said[-3000:])
            output = payloads.unpack_output(job.result["output"], stand.blobs)
            return job.result["model"]["version"], str(output)

        version, said = answer()
        assert version == "1"
        assert str(answer_of(1)) in said
        model.alias("2")
        wait(lambda: answer()[0] == "2")
        assert str(answer_of(2)) in answer()[1]
        named = stand.ended(stand.submit(payload, subject=NAME, options={"version": "1"}))
        assert named.result["model"]["version"] == "1"
        assert worker.children() == [child]


def test_all_of_it_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    """Two workers, of which each takes several at once, and no job is done twice."""
    mark = tmp_path / "mark"
    with Stand(tmp_path, ledger_database_url=postgres_url) as stand:
        first, _ = stand.worker("interactive", "--concurrency", "2"), stand.worker()
        ids = [stand.add({"do": "echo", "mark": str(mark)}) for _ in range(200)]
        stand.publish(*ids)
        for id in ids:
            assert stand.ended(id).state == SUCCEEDED
        assert len(mark.read_text().split()) == len(ids)
        assert stand.totals()["jobs_succeeded_interactive"] == len(ids)
        assert first.stop() == 0
