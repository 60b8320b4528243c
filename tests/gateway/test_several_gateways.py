"""Two gateways that share a folder: either shows the metrics of both."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.schemas_summary import MetricsSummary
from tests.support.jobs_stand import wait
from tests.support.server import Server

LIVE = ("GET", "/health/live", "200")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Server]]:
    made: list[Server] = []
    try:
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            made.append(Server(tmp_path / name, PROMETHEUS_MULTIPROC_DIR=tmp_path / "shared"))
        for server in made:
            server.wait_ready()
        yield made
    finally:
        for server in made:
            server.stop()


def counters(client: httpx.Client) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if family.type in ("counter", "histogram")
    }


def answered(client: httpx.Client) -> float:
    return counters(client).get(("http_requests_total", *sorted(LIVE)), 0)


def ask(client: httpx.Client, number: int) -> None:
    for _ in range(number):
        assert client.get("/health/live").is_success


class Scraper(threading.Thread):
    """Scrapes as fast as it can, and remembers whatever fell."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self.done = threading.Event()
        self.looks = 0
        self.falls: list[tuple[tuple[str, ...], float, float | None]] = []

    def run(self) -> None:
        before: dict[tuple[str, ...], float] = {}
        with self._server.client() as client:
            while not self.done.is_set():
                found = counters(client)
                self.falls += [
                    (key, was, found.get(key))
                    for key, was in before.items()
                    if found.get(key, -1.0) < was
                ]
                before = found
                self.looks += 1


@pytest.mark.slow
def test_either_shows_both(servers: list[Server]) -> None:
    one, other = servers
    scraper = Scraper(one)
    with one.client() as here, other.client() as there:
        first = MetricsSummary.model_validate(there.get("/metrics/summary").json())
        began = answered(here)
        scraper.start()
        try:
            ask(here, 30)
            ask(there, 20)
            wait(lambda: answered(here) == began + 50 == answered(there))
            second = MetricsSummary.model_validate(there.get("/metrics/summary").json())
            _kill(other, here, scraper)
            assert answered(here) == began + 50
            ask(here, 5)
            wait(lambda: answered(here) == began + 55)
        finally:
            scraper.done.set()
            scraper.join()
    assert scraper.looks > 2
    assert not scraper.falls
    # Those of the other process are in the rates.
    assert second.recent is not None
    grown = second.requests.count - first.requests.count
    assert second.recent.requests_per_second * second.recent.seconds == pytest.approx(grown)
    assert grown >= 50
    assert second.memory.programs["gateway"] == second.memory.process_bytes


def _kill(server: Server, client: httpx.Client, scraper: Scraper) -> None:
    def living() -> float:
        text = client.get("/metrics").text
        (line,) = (one for one in text.splitlines() if one.startswith("program_processes{"))
        return float(line.rpartition(" ")[2])

    assert living() == 2
    server.process.kill()
    server.process.wait()
    seen = scraper.looks
    wait(lambda: scraper.looks > seen + 2)
    assert living() == 1
