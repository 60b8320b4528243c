"""What `benchmarks.alerts` waits for is there, and its table says what was measured."""

from pathlib import Path

import pytest
import yaml

from benchmarks.alerts import Row, line
from benchmarks.alerts_faults import FAULTS, Fault

RULES = Path(__file__).parents[2] / "monitoring" / "prometheus" / "alerts"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_there_is_a_rule_for_what_a_fault_must_raise(fault: Fault) -> None:
    found = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in RULES.glob("*.yml")]
    rules = [rule for one in found for group in one["groups"] for rule in group["rules"]]
    for labels in (*fault.alerts, *fault.muted):
        named = [rule for rule in rules if rule["alert"] == labels["alertname"]]
        severities = {rule["labels"]["severity"] for rule in named}
        assert labels.get("severity") in {None, *severities} and severities, labels


def test_faults_of_one_group_raise_different_alerts() -> None:
    raised = [
        (fault.group, tuple(sorted(labels.items())))
        for fault in FAULTS
        for labels in (*fault.alerts, *fault.muted)
    ]
    assert len(set(raised)) == len(raised)


def test_a_line_of_the_table() -> None:
    fault = next(fault for fault in FAULTS if fault.name == "worker")
    row = Row(fault, fault.alerts[0], muted=False, pending=35.6, firing=96.1, notified=126.4)
    figures = "| 36 | 96 | 126 | – |"
    assert line(row) == f"| {fault.words} | WorkerGone (queue=batch) {figures}"
    muted = Row(fault, {"alertname": "GatewayDown"}, muted=True, firing=15.0)
    assert line(muted) == f"| {fault.words} | GatewayDown | 15 | 15 | muted | – |"
