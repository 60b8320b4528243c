"""What the children of a worker count is exposed by their parent, whichever of them are left."""

import os
import signal
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.ledger.database.job_rows import SUCCEEDED
from tests.support.jobs_stand import Running, Stand, stand, wait
from tests.support.mlflow_server import free_port

PROGRAM = {"program": "worker-interactive"}
ANSWERED = {"model": "no-op", "version": "1", "mode": "async", "status": "success"}


def value(port: int, name: str, labels: dict[str, str]) -> float | None:
    said = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=60)
    found = [
        sample.value
        for family in text_string_to_metric_families(said.raise_for_status().text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found) if found else None


def ask(made: Stand, number: int) -> None:
    for id in [made.submit({"do": "echo", "echo": n}) for n in range(number)]:
        assert made.ended(id).state == SUCCEEDED


def replaced(worker: Running, dead: int) -> bool:
    children = worker.children()
    return dead not in children and len(children) == 2


@pytest.mark.slow
def test_children_are_counted_with_those_that_were_killed(tmp_path: Path) -> None:
    port = free_port()
    with stand(tmp_path) as made:
        worker = made.worker("interactive", "--concurrency", "2", worker_metrics_port=port)
        ask(made, 4)
        # Within the second in which a child brings its files up to date.
        wait(lambda: value(port, "predictions_total", ANSWERED) == 4)
        wait(lambda: value(port, "program_processes", PROGRAM) == 3)
        assert (value(port, "model_memory_bytes", {"model": "no-op"}) or 0) > 0
        child = worker.children()[0]
        os.kill(child, signal.SIGKILL)
        wait(lambda: replaced(worker, child))
        assert (value(port, "predictions_total", ANSWERED) or 0) >= 4
        ask(made, 4)
        wait(lambda: value(port, "predictions_total", ANSWERED) == 8)
        wait(lambda: value(port, "program_processes", PROGRAM) == 3)
        assert value(port, "build_info", {}) == 1
        assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code == 404
        # Another of the same port says so, and ends.
        other = made.start("tests.support.serve_jobs", "interactive", worker_metrics_port=port)
        assert other.wait() == 1
        assert "WORKER_METRICS_PORT" in other.said
        assert worker.stop() == 0
