"""A stand whose leases are short, and what is left over by killed processes."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.jobs.crew import ChaosStand
from tests.support.postgres import postgres_server as postgres_server
from tests.support.postgres import postgres_url as postgres_url

MakeStand = Callable[..., ChaosStand]
# Seconds; what a lost worker held goes on a few seconds after its lease is over.
LEASE = 3
# One segment for all that is recorded: one that is sealed and stored goes, and counts no more.
_OURS: dict[str, Any] = {"job_lease": LEASE, "ledger_segment_seconds": 3600}


@pytest.fixture
def make_stand(tmp_path: Path) -> Iterator[MakeStand]:
    """Return a maker of stands; all they have started has ended afterwards."""
    with ExitStack() as stack:

        def make(**settings: Any) -> ChaosStand:
            return stack.enter_context(ChaosStand(tmp_path / "stand", **{**_OURS, **settings}))

        yield make


@pytest.fixture
def form() -> str:
    """Return how much of it is wanted: `short`, `full` or `long`."""
    form = os.environ.get("SLIPWAY_CHAOS", "short")
    assert form in ("short", "full", "long"), form
    return form


@pytest.fixture
def report() -> Callable[[dict[str, Any]], None]:
    """Return what prints the figures."""

    def tell(lines: dict[str, Any]) -> None:
        load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
        table = "".join(f"| {k} | {v} |\n" for k, v in {**lines, "load": load}.items())
        sys.stdout.write(f"\n| what | figure |\n|---|---|\n{table}")

    return tell
