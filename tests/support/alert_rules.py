"""The rules of monitoring/prometheus and their tests, read as they stand."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.patience import PATIENCE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "monitoring" / "prometheus"
RUNBOOKS = ROOT / "monitoring" / "runbooks"
ALERTS = sorted((FOLDER / "alerts").glob("*.yml"))
RECORDS = sorted((FOLDER / "rules").glob("*.yml"))
TESTS = sorted((FOLDER / "tests").glob("*_test.yml"))
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Rule = dict[str, Any]


@cache
def read(file: Path) -> Any:
    """Return a file of rules or of tests; nobody changes it."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def rules(file: Path) -> list[Rule]:
    return [rule for group in read(file)["groups"] for rule in group["rules"]]


EVERY = [rule for file in ALERTS for rule in rules(file)]
EVERY_RECORD = [rule for file in RECORDS for rule in rules(file)]


def seconds(text: str) -> int:
    """Return how long `1h30m` is."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text))


def run(promtool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [promtool, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


@dataclass(frozen=True)
class Moment:
    """What is expected of an alert at a time of a test; nothing where it is silent."""

    test: tuple[str, int]
    step: int
    alert: str
    time: int
    expected: tuple[Mapping[str, str], ...]

    def fires(self, labels: Mapping[str, str]) -> bool:
        return any(labels.items() <= one.items() for one in self.expected)


@cache
def moments() -> tuple[Moment, ...]:
    return tuple(_moments())


def _moments() -> Iterator[Moment]:
    for file in TESTS:
        for number, test in enumerate(read(file)["tests"]):
            for one in test.get("alert_rule_test", ()):
                yield Moment(
                    (file.name, number),
                    seconds(read(file)["evaluation_interval"]),
                    one["alertname"],
                    seconds(one["eval_time"]),
                    tuple(alert["exp_labels"] for alert in one["exp_alerts"]),
                )
