"""The gateway's clock is set, by days and both ways, from one prediction to the next."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.ledger.places import Places
from services.ledger.reading import segments
from services.ledger.shipping.parts import write_parts
from tests.chaos.records import evidence
from tests.chaos.records.conftest import Start
from tests.chaos.records.stand import wait_for
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.slow

_DAY = 86_400.0
# What the clock is wrong by, in seconds.
_OFFSETS = (0.0, -3 * _DAY, -3 * _DAY - 0.5, -40.0, _DAY, -_DAY)
_EACH = 25


def test_nothing_is_lost_and_every_page_is_found(
    start: Start, places: Places, tmp_path: Path, shipped: Callable[[], None]
) -> None:
    server = start(LEDGER_SEGMENT_SECONDS=0.2)
    asked: list[str] = []
    with server.client() as client:
        for offset in _OFFSETS:
            set_clock(tmp_path, offset)
            asked += [ask(client) for _ in range(_EACH)]
        set_clock(tmp_path, 0.0)
        # The gateway ends its segments by a clock that nobody sets.
        wait_for(
            lambda: all(one.sealed or one.size < 300 for one in segments(places.journal)), PATIENCE
        )
        assert by_day(places, tmp_path) == {0: 2 * _EACH, 1: _EACH, -1: _EACH, -3: 2 * _EACH}
        shipped()
        pages = every_page(client)
    assert len(set(asked)) == len(asked)
    assert evidence.in_database(places.database) == set(asked)
    assert evidence.in_minutes(places.database) == len(asked)
    assert sorted(one["id"] for one in pages) == sorted(asked)
    times = [one["created_at"] for one in pages]
    assert times == sorted(times, reverse=True)
    assert all(0 <= one["metrics"]["predict_time"] < 60 for one in pages)


def set_clock(folder: Path, offset: float) -> None:
    draft = folder / "clock.new"
    draft.write_text(str(offset))
    draft.replace(folder / "clock")


def ask(client: httpx.Client) -> str:
    answer = client.post("/predict", json={"features": [1.0]})
    assert answer.status_code == 200, answer.text
    return answer.headers["X-Prediction-ID"]


def by_day(places: Places, folder: Path) -> dict[int, int]:
    """Return how many rows each day's Parquet parts would have, by its distance from today."""
    today = datetime.now(UTC).date()
    found: dict[int, int] = {}
    for number, segment in enumerate(segments(places.journal)):
        for part in write_parts(segment, folder / f"parts-{number}").parts:
            distance = (date.fromisoformat(part.key[2]) - today).days
            found[distance] = found.get(distance, 0) + part.rows
    return found


def every_page(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path: str | None = "/predictions?limit=7"
    while path is not None:
        page = client.get(path)
        assert page.status_code == 200, page.text
        found += page.json()["predictions"]
        path = page.json()["next"]
    return found
