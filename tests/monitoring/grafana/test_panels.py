"""Every question of the boards, put to a real Prometheus that has watched the real system.

`PANELS_TABLE=panels.md` in the environment writes down what each was answered.
"""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.monitoring.grafana.boards import EVERY, Asked
from tests.monitoring.grafana.empty import EMPTY, UNSEEN
from tests.support.mixed_load import MixedLoad
from tests.support.prometheus import PrometheusServer, Series, program
from tests.support.promql import RULES, selectors
from tests.support.whole_system import WholeSystem

pytestmark = pytest.mark.slow

_SECONDS = 8.0
_STEP = 2.0
_OWN = {
    "DRIFT_EVERY": 2, "MEMORY_BUDGET": 8 << 30, "LEDGER_SEGMENT_SECONDS": 2,
}  # fmt: skip
# What comes last: upkeep and the shipper have looked at what was asked for.
_LAST = (
    'count(prediction_drift_score{feature="_overall"})',
    "sum(ledger_rows_stored_total) > 0",
    "count(prediction_quality_reference)",
    "count(prediction_drift_detected)",
    "count(job:http_requests_failed:ratio_rate3d)",
)


@dataclass(frozen=True)
class Seen:
    """What the questions were answered, and the metrics that there were."""

    series: dict[Asked, int]
    names: set[str]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    program("prometheus")
    folder = tmp_path_factory.mktemp("panels")
    with WholeSystem(folder / "system", **_OWN) as system:
        rules = _often(sorted(RULES.glob("*.yml")), folder)
        targets = {"slipway": [system.target]}
        with PrometheusServer(folder / "prometheus", targets=targets, rules=rules) as prometheus:
            start = time.time()
            prometheus.wait_scraped()
            load = MixedLoad(system)
            load.run(_SECONDS)
            assert {200, 201, 202, 404, 422, 500} <= set(load.answers), load.answers
            for expression in _LAST:
                prometheus.wait_for(expression)
            yield _ask(prometheus, start)


def _often(files: list[Path], folder: Path) -> list[Path]:
    """Return the rules, evaluated as often as is scraped here."""
    made = []
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not line.strip().startswith("interval:")]
        path = folder / file.name
        path.write_text("".join(kept), encoding="utf-8")
        made.append(path)
    return made


def _ask(prometheus: PrometheusServer, start: float) -> Seen:
    end = time.time()
    series = {
        one: len(_figures(prometheus.query_range(one.expression, start, end, _STEP)))
        for one in EVERY
    }
    return Seen(series, prometheus.names_known())


def _figures(found: list[Series]) -> list[Series]:
    """Return the series that have a figure anywhere."""
    return [one for one in found if any(not math.isnan(value) for _, value in one.points)]


def test_every_question_has_an_answer(seen: Seen) -> None:
    if place := os.environ.get("PANELS_TABLE"):
        Path(place).write_text(table(seen.series) + "\n", encoding="utf-8")
    empty = {one.name for one, count in seen.series.items() if not count}
    assert empty <= set(EMPTY), sorted(empty - set(EMPTY))


def test_every_metric_was_there(seen: Seen) -> None:
    """`or vector(0)` answers without one."""
    asked = {found.name for one in EVERY for found in selectors(one.expression)} - {None}
    missing = asked - seen.names
    assert missing <= set(UNSEEN), sorted(map(str, missing - set(UNSEEN)))


def table(found: dict[Asked, int]) -> str:
    """Return the questions and how many series each was answered with, as Markdown."""
    lines = ["| board | panel | query | series |", "|---|---|---|---|"]
    for one, count in found.items():
        said = str(count) if count else f"0: {EMPTY.get(one.name, '?')}"
        expression = one.expression.replace("|", "\\|")
        lines.append(f"| {one.board} | {one.place} {one.what} | `{expression}` | {said} |")
    return "\n".join(lines)
