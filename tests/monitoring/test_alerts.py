"""The alert rules: read by promtool, each tested by it, each with a page that says what to do."""

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.alert_rules import (
    ALERTS,
    EVERY,
    EVERY_RECORD,
    FOLDER,
    RECORDS,
    RUNBOOKS,
    TESTS,
    Rule,
    moments,
    read,
    rules,
    run,
    seconds,
)
from tests.support.prometheus import program

ALWAYS = "Watchdog"
SEVERITIES = {"critical", "warning", "info"}
LABEL = re.compile(r'(\w+)="([^"]*)"')
NUMBER = re.compile(r"([<>]=?) (\d+(?:\.\d+)?)")


@pytest.fixture
def promtool() -> str:
    return program("promtool")


def test_every_file_of_rules_has_a_file_of_tests() -> None:
    assert ALERTS and RECORDS
    tested = {file.stem.removesuffix("_test") for file in TESTS}
    assert {file.stem for file in (*ALERTS, *RECORDS)} <= tested


def test_the_rules_are_sound(promtool: str) -> None:
    done = run(promtool, "check", "rules", *ALERTS, *RECORDS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_they_fire_when_they_should(promtool: str, file: Path) -> None:
    done = run(promtool, "test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_alert_has_two_rules_of_the_same_labels() -> None:
    counted = Counter((rule["alert"], *sorted(rule["labels"].items())) for rule in EVERY)
    assert set(counted.values()) == {1}
    names = Counter(rule["record"] for rule in EVERY_RECORD)
    assert set(names.values()) == {1}


@pytest.mark.parametrize(
    "rule", EVERY, ids=lambda rule: "-".join([rule["alert"], *rule["labels"].values()])
)
def test_it_is_seen_silent_just_before_it_fires(rule: Rule) -> None:
    labels = rule["labels"]
    mine = [one for one in moments() if one.alert == rule["alert"]]
    fires = [one for one in mine if one.fires(labels)]
    assert fires, "no test sees it fire"
    if rule["alert"] == ALWAYS:
        assert fires[0].time == 0
        return
    silent = {(one.test, one.time) for one in mine if not one.fires(labels)}
    assert any((one.test, one.time - one.step) in silent for one in fires), "never seen silent"


@pytest.mark.parametrize("rule", EVERY_RECORD, ids=lambda rule: rule["record"])
def test_a_recorded_series_is_worked_out_in_a_test(rule: Rule) -> None:
    asked = {
        one["expr"]
        for file in TESTS
        for test in read(file)["tests"]
        for one in test.get("promql_expr_test", ())
        if one["exp_samples"]
    }
    assert any(re.search(rf"\b{re.escape(rule['record'])}\b", expr) for expr in asked)


def test_what_a_text_names_is_a_label_of_the_alert() -> None:
    for rule in EVERY:
        named = {
            label
            for text in rule["annotations"].values()
            for label in re.findall(r"\$labels\.(\w+)", text)
        }
        for one in moments():
            if one.alert == rule["alert"]:
                for labels in one.expected:
                    if rule["labels"].items() <= labels.items():
                        assert named <= set(labels), rule["alert"]


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    named = {rule["alert"]: rule["annotations"]["runbook"] for rule in EVERY}
    assert named == {name: f"monitoring/runbooks/{name}.md" for name in named}
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == set(named)


def test_every_alert_says_how_urgent_it_is() -> None:
    for rule in EVERY:
        expected = {"watchdog"} if rule["alert"] == ALWAYS else SEVERITIES
        assert rule["labels"]["severity"] in expected
        assert set(rule["annotations"]) == {"summary", "description", "runbook", "dashboard"}


def _weaker(rule: Rule, step: int) -> Rule:
    """Return a rule that is wrong by little: it waits longer, or asks for more."""
    if "for" in rule:
        return {**rule, "for": f"{seconds(rule['for']) + step}s"}
    return {**rule, "expr": NUMBER.sub(lambda m: f"> {float(m[2]) + 3}", rule["expr"])}


def _eager(rule: Rule, step: int) -> Rule:
    """Return a rule that fires too soon."""
    if "for" in rule:
        return {**rule, "for": f"{max(0, seconds(rule['for']) - step)}s"}
    return {**rule, "expr": NUMBER.sub(_less, rule["expr"])}


def _less(found: re.Match[str]) -> str:
    return f"> {float(found[2]) - 1}" if float(found[2]) else ">= 0"


def _other(said: str) -> Iterator[tuple[str, list[dict[str, str]], list[dict[str, str]]]]:
    """Read from promtool what is other than expected: alert, labels expected, labels got."""
    for part in re.split(r"\n\s*(?=alertname: )", said)[1:]:
        expected, got = (
            [dict(LABEL.findall(labels)) for labels in re.findall(r"Labels:\{(.*)\}", half)]
            for half in part.split("got:[", 1)
        )
        yield part.split(",")[0].removeprefix("alertname: "), expected, got


def _has(rule: Rule, found: list[dict[str, str]]) -> bool:
    return any(rule["labels"].items() <= labels.items() for labels in found)


def _noticed(rule: Rule, change: Any, said: str) -> bool:
    for alert, expected, got in _other(said):
        missing, early = expected, got
        if change is _eager:
            missing, early = got, expected
        if alert == rule["alert"] and _has(rule, missing) and not _has(rule, early):
            return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("change", [_weaker, _eager])
@pytest.mark.parametrize("file", ALERTS, ids=lambda file: file.stem)
def test_the_tests_notice_a_rule_that_is_wrong(
    promtool: str, file: Path, change: Any, tmp_path: Path
) -> None:
    """All rules of a file are changed at once; each has to be noticed by its own labels."""
    copied = tmp_path / "prometheus"
    shutil.copytree(FOLDER, copied)
    said = ""
    for test in TESTS:
        if f"../alerts/{file.name}" in read(test)["rule_files"]:
            step = seconds(read(test)["evaluation_interval"])
            changed = _regrouped(file, [change(rule, step) for rule in rules(file)])
            (copied / "alerts" / file.name).write_text(yaml.safe_dump(changed), encoding="utf-8")
            done = run(promtool, "test", "rules", copied / "tests" / test.name)
            said += done.stdout + done.stderr
    unnoticed = [
        (rule["alert"], rule["labels"])
        for rule in rules(file)
        if rule["alert"] != ALWAYS and not _noticed(rule, change, said)
    ]
    assert unnoticed == []


def _regrouped(file: Path, listed: list[Rule]) -> dict[str, Any]:
    left = iter(listed)
    return {
        "groups": [
            {**group, "rules": [next(left) for _ in group["rules"]]}
            for group in read(file)["groups"]
        ]
    }
