"""Who is told of what: Alertmanager's configuration, as Alertmanager's own tool reads it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.cli.supervisor.monitoring import alertmanager_config
from tests.conftest import MakeSettings
from tests.support.alertmanager import AlertmanagerServer
from tests.support.patience import PATIENCE
from tests.support.prometheus import program

MONITORING = Path(__file__).parents[2] / "monitoring"
CONFIG = MONITORING / "alertmanager" / "alertmanager.yml"
TEMPLATES = MONITORING / "alertmanager" / "templates" / "*.tmpl"
SEVERITIES = ("critical", "warning", "info", "watchdog")


def amtool(*arguments: str | Path) -> str:
    command = [program("amtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    return found


def rules() -> list[dict[str, Any]]:
    files = (MONITORING / "prometheus" / "alerts").glob("*.yml")
    found = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    return [rule for one in found for group in one["groups"] for rule in group["rules"]]


def test_the_configuration_is_sound() -> None:
    assert "4 receivers" in amtool("check-config", CONFIG)


def test_so_is_what_is_made_of_it(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings(alert_webhook_url="https://example.org/hook?key=1")
    file = tmp_path / "alertmanager.yml"
    file.write_text(yaml.safe_dump(alertmanager_config(settings)), encoding="utf-8")
    assert "1 templates" in amtool("check-config", file)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_each_severity_has_its_receiver(severity: str) -> None:
    labels = (f"severity={severity}", "alertname=Anything", "queue=batch")
    assert amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels).split() == [
        severity
    ]


def test_what_has_no_severity_is_not_lost() -> None:
    found = amtool("config", "routes", "test", f"--config.file={CONFIG}", "alertname=Anything")
    assert found.split() == ["warning"]


def test_every_alert_has_a_severity_that_is_routed() -> None:
    assert {rule["labels"]["severity"] for rule in rules()} <= set(SEVERITIES)


def test_nobody_hears_of_the_watchdog_but_who_waits_for_it() -> None:
    watchdogs = [rule for rule in rules() if rule["labels"]["severity"] == "watchdog"]
    assert [rule["alert"] for rule in watchdogs] == ["Watchdog"]


def test_alerts_that_mute_others_and_are_muted_are_there() -> None:
    """A name that is written wrongly would mute nothing, and nobody would notice."""
    known = {rule["alert"] for rule in rules()}
    named = set()
    for rule in read()["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            label, _, value = matcher.partition(" ")
            if label == "alertname":
                named |= set(value.partition('"')[2].rstrip('"').split("|"))
    assert {"GatewayDown", "DependencyDown", "JobsWithoutWorker"} <= named <= known


def test_no_secret_is_in_the_file() -> None:
    addresses = {
        hook["url"] for receiver in read()["receivers"] for hook in receiver["webhook_configs"]
    }
    assert all(".invalid/" in address for address in addresses), addresses


MUTING = {
    "a gateway": (
        {"alertname": "GatewayDown", "severity": "critical", "job": "slipway"},
        {"alertname": "AvailabilityBudgetBurn", "severity": "critical"},
        {"alertname": "NotificationsFailing", "severity": "critical"},
    ),
    "the louder of two": (
        {"alertname": "JobsWaitingLong", "severity": "critical", "queue": "batch"},
        {"alertname": "JobsWaitingLong", "severity": "warning", "queue": "batch"},
        {"alertname": "JobsWaitingLong", "severity": "warning", "queue": "training"},
    ),
    "redis": (
        {"alertname": "DependencyDown", "severity": "critical", "service": "redis"},
        {"alertname": "JobsUnpublished", "severity": "warning", "queue": "batch"},
        {"alertname": "LedgerBehind", "severity": "warning"},
    ),
    "mlflow": (
        {"alertname": "DependencyDown", "severity": "warning", "service": "mlflow"},
        {"alertname": "LedgerBehind", "severity": "warning"},
        {"alertname": "JobsUnpublished", "severity": "warning", "queue": "batch"},
    ),
    "a queue without workers": (
        {"alertname": "JobsWithoutWorker", "severity": "critical", "queue": "batch"},
        {"alertname": "WorkerGone", "severity": "warning", "queue": "batch"},
        {"alertname": "WorkerGone", "severity": "warning", "queue": "training"},
    ),
}


@pytest.fixture
def alertmanager(make_settings: MakeSettings, tmp_path: Path) -> Iterator[AlertmanagerServer]:
    config = yaml.safe_dump(alertmanager_config(make_settings()))
    with AlertmanagerServer(tmp_path / "alertmanager", config) as running:
        yield running


@pytest.mark.parametrize("case", MUTING)
def test_what_follows_from_another_alert_is_muted(
    alertmanager: AlertmanagerServer, case: str
) -> None:
    """The first of three mutes the second and not the third."""
    alertmanager.tell(*MUTING[case])
    wanted = dict(zip(map(str, MUTING[case]), ("active", "suppressed", "active"), strict=True))

    def seen() -> bool:
        found = alertmanager.alerts()
        return wanted == {
            str({name: one["labels"][name] for name in labels}): one["status"]["state"]
            for one in found
            for labels in MUTING[case]
            if labels == one["labels"]
        }

    alertmanager.until(seen, PATIENCE, case)


def message(status: str, *labels: dict[str, str]) -> dict[str, Any]:
    common = {"alertname": "WorkerGone", "severity": "warning"}
    return {
        "status": status,
        "commonLabels": common,
        "alerts": [
            {
                "status": status,
                "labels": {**common, **more},
                "annotations": {
                    "summary": f"No worker for {more['queue']}.",
                    "description": "Nobody has taken its place.",
                    "runbook": "monitoring/runbooks/WorkerGone.md",
                },
                "startsAt": "2026-01-02T03:04:05Z",
            }
            for more in labels
        ],
    }


def rendered(name: str, data: dict[str, Any], folder: Path) -> str:
    file = folder / "data.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    text = f'{{{{ template "{name}" . }}}}'
    return amtool(
        "template", "render", f"--template.glob={TEMPLATES}", f"--template.text={text}",
        f"--template.data={file}",
    ).strip()  # fmt: skip


def test_a_message_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    data = message("firing", {"queue": "batch", "job": "slipway"})
    assert rendered("slipway.title", data, tmp_path) == "[WARNING] WorkerGone"
    assert rendered("slipway.text", data, tmp_path).splitlines() == [
        "No worker for batch.",
        "Nobody has taken its place.",
        "  queue: batch",
        "  since: 2026-01-02 03:04:05 UTC",
        "  what to do: monitoring/runbooks/WorkerGone.md",
    ]


def test_a_message_about_several(tmp_path: Path) -> None:
    data = message("resolved", {"queue": "batch"}, {"queue": "training"})
    assert rendered("slipway.title", data, tmp_path) == "[RESOLVED] WorkerGone (2)"
    text = rendered("slipway.text", data, tmp_path)
    assert "No worker for batch." in text and "No worker for training." in text
