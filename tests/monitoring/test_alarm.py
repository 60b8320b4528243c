"""A fault that somebody is told of: gateway, Prometheus, Alertmanager, all real, times shortened.

`python -m benchmarks.alerts` does the same with every part, more faults and the true times.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.cli.supervisor.monitoring import SOURCE, alertmanager_config, prometheus_config
from tests.conftest import settings_for_tests
from tests.support.alertmanager import AlertmanagerServer, Notice, Receiver
from tests.support.patience import PATIENCE
from tests.support.prometheus import PrometheusServer
from tests.support.server import Server

pytestmark = pytest.mark.slow

_WAITS = re.compile(r"^(\s+for:) .*$", re.MULTILINE)


@dataclass
class Watched:
    """A gateway, what watches it, and who is told."""

    gateway: Server
    prometheus: PrometheusServer
    alertmanager: AlertmanagerServer
    receiver: Receiver

    def told(self, alert: str, status: str = "firing") -> Notice:
        return self.receiver.wait(
            lambda one: one.labels["alertname"] == alert and one.status == status, PATIENCE
        )


def hasty(folder: Path) -> list[str]:
    """Copy the rules, so that what holds for some seconds fires.

    They are more than the five that Prometheus takes to its first look at the gateway: until then
    it is absent.
    """
    for kind in ("alerts", "rules"):
        (folder / kind).mkdir(parents=True)
        for file in (SOURCE / "prometheus" / kind).glob("*.yml"):
            text = _WAITS.sub(r"\1 15s", file.read_text(encoding="utf-8"))
            (folder / kind / file.name).write_text(text, encoding="utf-8")
    return [str(folder / kind / "*.yml") for kind in ("alerts", "rules")]


def told_at_once(config: dict[str, Any]) -> str:
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    return yaml.safe_dump(config)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        (tmp_path / "gateway").mkdir()
        gateway = Server(tmp_path / "gateway")
        stack.callback(gateway.stop)
        settings = settings_for_tests(
            data_dir=tmp_path,
            port=gateway.port,
            alert_webhook_url=receiver.url,
            alert_watchdog_url=f"{receiver.url}watchdog",
        )
        alertmanager = stack.enter_context(
            AlertmanagerServer(
                tmp_path / "alertmanager", told_at_once(alertmanager_config(settings))
            )
        )
        config = prometheus_config(settings)
        config["global"] = {"scrape_interval": "2s", "evaluation_interval": "1s"}
        config["rule_files"] = hasty(tmp_path / "rules")
        # What watches itself has ports of its own here.
        config["scrape_configs"] = [
            one for one in config["scrape_configs"] if one["job_name"] == "slipway"
        ]
        config["alerting"]["alertmanagers"] = [
            {"static_configs": [{"targets": [alertmanager.address]}]}
        ]
        prometheus = stack.enter_context(PrometheusServer(tmp_path / "prometheus", config=config))
        yield Watched(gateway, prometheus, alertmanager, receiver)


def test_somebody_is_told_that_the_gateway_is_gone(watched: Watched) -> None:
    watched.prometheus.wait_scraped(PATIENCE)
    broken = [rule for rule in watched.prometheus.rules() if rule["health"] == "err"]
    assert not broken
    assert "GatewayDown" not in {one.labels["alertname"] for one in watched.receiver.notices}

    watched.gateway.process.kill()
    notice = watched.told("GatewayDown")
    assert (notice.path, notice.receiver) == ("/", "critical")
    assert notice.labels == {"alertname": "GatewayDown", "severity": "critical", "job": "slipway"}
    assert notice.annotations["runbook"] == "monitoring/runbooks/GatewayDown.md"
    assert notice.message["groupLabels"] == {"alertname": "GatewayDown", "severity": "critical"}
    # The one that always comes goes to whoever waits for it, and to nobody else.
    watchdog = watched.told("Watchdog")
    assert (watchdog.path, watchdog.receiver) == ("/watchdog", "watchdog")
    paths = {(one.labels["alertname"], one.path) for one in watched.receiver.notices}
    assert ("Watchdog", "/") not in paths
    assert {alert for alert, path in paths if path == "/watchdog"} == {"Watchdog"}
