"""The alert rules: read by promtool, each tested by it, each with a page that says what to do."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from services.core.errors import LedgerFullError
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.ledger.collector import LedgerCollector
from services.ledger.places import Places
from services.ledger.shipping import status

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "monitoring" / "prometheus"
ALERTS = sorted((FOLDER / "alerts").glob("*.yml"))
TESTS = sorted((FOLDER / "tests").glob("*_test.yml"))
RUNBOOKS = ROOT / "monitoring" / "runbooks"
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def rules(file: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


EVERY = [rule for file in ALERTS for rule in rules(file)]


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        message = "promtool is not installed (Debian, Ubuntu: apt install prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def run(promtool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [promtool, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_every_file_of_rules_has_a_file_of_tests() -> None:
    assert ALERTS
    assert [f"{file.stem}_test" for file in ALERTS] == [file.stem for file in TESTS]


@pytest.mark.parametrize("file", ALERTS, ids=lambda file: file.name)
def test_the_rules_are_sound(promtool: str, file: Path) -> None:
    done = run(promtool, "check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_they_fire_when_they_should(promtool: str, file: Path) -> None:
    done = run(promtool, "test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def _weaker(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule that is wrong by little: it waits longer, or asks for more."""
    if "for" in rule:
        return {**rule, "for": f"{_seconds(rule['for']) + 15}s"}
    return {**rule, "expr": rule["expr"].replace("> 0", "> 3")}


def _eager(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule that fires too soon."""
    if "for" in rule:
        return {**rule, "for": f"{_seconds(rule['for']) - 15}s"}
    return {**rule, "expr": rule["expr"].replace("> 0", ">= 0")}


def _seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


@pytest.mark.slow
@pytest.mark.parametrize("change", [_weaker, _eager])
@pytest.mark.parametrize("number", range(len(EVERY)), ids=lambda n: f"{EVERY[n]['alert']}-{n}")
def test_the_tests_notice_a_rule_that_is_wrong(
    promtool: str, number: int, change: Any, tmp_path: Path
) -> None:
    shutil.copytree(FOLDER, tmp_path / "prometheus")
    changed = change(EVERY[number])
    assert changed != EVERY[number]
    file = next(file for file in ALERTS if EVERY[number] in rules(file))
    listed = [changed if rule == EVERY[number] else rule for rule in rules(file)]
    text = yaml.safe_dump({"groups": [{"name": "changed", "rules": listed}]}, sort_keys=False)
    (tmp_path / "prometheus" / "alerts" / file.name).write_text(text, encoding="utf-8")
    done = run(
        promtool, "test", "rules", tmp_path / "prometheus" / "tests" / f"{file.stem}_test.yml"
    )
    assert done.returncode != 0, done.stdout


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    named = {rule["alert"]: rule["annotations"]["runbook"] for rule in EVERY}
    assert named == {name: f"monitoring/runbooks/{name}.md" for name in named}
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == set(named)


def test_every_alert_says_how_urgent_it_is() -> None:
    for rule in EVERY:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert {"summary", "description"} <= set(rule["annotations"])


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_leads_to_what_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.stem}\n")
    assert not [link for link in LINK.findall(text) if not (page.parent / link).exists()]


def test_alerts_ask_for_metrics_that_there_are(tmp_path: Path) -> None:
    """Their names are the gateway's: a typing error would keep an alert silent for ever."""
    metrics = Metrics()
    settings = Settings(_env_file=None, data_dir=tmp_path)
    metrics.registry.register(LedgerCollector(settings))
    places = Places(tmp_path)
    places.root.mkdir()
    status.write(places.status, {**status.compose([]), "ready": True})
    families = text_string_to_metric_families(metrics.exposition().decode())
    known = {family.name for family in families}
    known |= {f"{name}_total" for name in known}
    asked = {
        name for rule in EVERY for name in re.findall(r"\b[a-z]+_[a-z_]+\b(?!=)", rule["expr"])
    }
    asked -= {"ledger_full"}
    assert {"requests_rejected_total", "ledger_pending_bytes"} <= asked
    assert asked <= known, asked - known


def test_the_reason_that_is_asked_for_is_the_one_that_is_counted() -> None:
    asked = {label for rule in EVERY for label in re.findall(r'reason="(\w+)"', rule["expr"])}
    assert asked == {LedgerFullError.code}
