"""`slipway monitor`: the same files as in compose, with the addresses of this machine."""

import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.cli.supervisor.monitoring import (
    ALERTMANAGER,
    PROMETHEUS,
    SOURCE,
    alertmanager_config,
    programs,
    prometheus_config,
)
from services.core.errors import ConfigurationError
from tests.cli.conftest import Command
from tests.conftest import MakeSettings
from tests.support.jobs_stand import Running, wait
from tests.support.mlflow_server import free_port
from tests.support.patience import PATIENCE
from tests.support.prometheus import program
from tests.support.server import ROOT


def compose() -> dict[str, Any]:
    text = (SOURCE / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def targets(config: dict[str, Any]) -> dict[str, list[str]]:
    return {
        scrape["job_name"]: [
            target for some in scrape["static_configs"] for target in some["targets"]
        ]
        for scrape in config["scrape_configs"]
    }


def test_the_addresses_are_of_this_machine(make_settings: MakeSettings) -> None:
    settings = make_settings(port=8100, prometheus_port=9100, alertmanager_port=9200)
    made = prometheus_config(settings)
    assert targets(made) == {
        "slipway": ["127.0.0.1:8100"],
        "prometheus": ["127.0.0.1:9100"],
        "alertmanager": ["127.0.0.1:9200"],
    }
    told = made["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert told == ["127.0.0.1:9200"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("0.0.0.0", "127.0.0.1:8000"), ("10.0.0.1", "10.0.0.1:8000"), ("::1", "[::1]:8000")],
)
def test_the_gateway_is_asked_where_it_listens(
    make_settings: MakeSettings, host: str, expected: str
) -> None:
    assert targets(prometheus_config(make_settings(host=host)))["slipway"] == [expected]


def test_all_else_is_as_in_compose(make_settings: MakeSettings) -> None:
    made, given = prometheus_config(make_settings()), compose()
    assert made["global"] == given["global"]
    limits = {one["job_name"]: one.get("sample_limit") for one in given["scrape_configs"]}
    assert limits["slipway"]
    for scrape in made["scrape_configs"]:
        assert scrape.get("sample_limit") == limits[scrape["job_name"]]
    files = {file for place in made["rule_files"] for file in Path("/").glob(place.lstrip("/"))}
    assert files == {*(SOURCE / "prometheus").glob("alerts/*.yml"),
                     *(SOURCE / "prometheus").glob("rules/*.yml")}  # fmt: skip


@pytest.mark.parametrize("name", ["compose", "here"])
def test_prometheus_accepts_it(make_settings: MakeSettings, tmp_path: Path, name: str) -> None:
    file = SOURCE / "prometheus" / "prometheus.yml"
    if name == "here":
        file = tmp_path / "prometheus.yml"
        file.write_text(yaml.safe_dump(prometheus_config(make_settings())), encoding="utf-8")
    command = [program("promtool"), "check", "config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ledger.yml" in done.stdout


def test_alerts_go_where_the_settings_say(make_settings: MakeSettings) -> None:
    settings = make_settings(
        alert_webhook_url="https://example.org/a", alert_watchdog_url="https://example.org/b"
    )
    found = {
        receiver["name"]: [hook["url"] for hook in receiver["webhook_configs"]]
        for receiver in alertmanager_config(settings)["receivers"]
    }
    everybody = ["https://example.org/a"]
    assert found == {"critical": everybody, "warning": everybody, "info": everybody,
                     "watchdog": ["https://example.org/b"]}  # fmt: skip


def test_where_nobody_is_named_nobody_is_told(make_settings: MakeSettings) -> None:
    receivers = alertmanager_config(make_settings())["receivers"]
    assert all("webhook_configs" not in receiver for receiver in receivers)


def test_what_is_measured_has_a_bound_and_only_this_machine_can_ask(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    program("prometheus")
    program("prometheus-alertmanager", "alertmanager")
    secret = "https://example.org/secret"
    ports = {"prometheus_port": free_port(), "alertmanager_port": free_port()}
    found = {one.name: one for one in programs(make_settings(alert_webhook_url=secret, **ports))}
    assert list(found) == [PROMETHEUS, ALERTMANAGER]
    for name, one in found.items():
        assert f"--web.listen-address=127.0.0.1:{ports[f'{name}_port']}" in one.command
        assert one.log == tmp_path / "logs" / f"{name}.log"
        file = tmp_path / "monitoring" / f"{name}.yml"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    options = " ".join(found[PROMETHEUS].command)
    assert "retention.time" in options and "retention.size" in options
    assert secret in (tmp_path / "monitoring" / "alertmanager.yml").read_text()


def test_a_program_that_is_missing_is_named_with_its_package(
    slipway: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = slipway("monitor")
    assert done.code == 1
    assert "Prometheus is not installed" in done.err
    assert "apt install prometheus prometheus-alertmanager" in done.err


def test_a_port_that_is_taken_is_named(make_settings: MakeSettings) -> None:
    program("prometheus")
    program("prometheus-alertmanager", "alertmanager")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = make_settings(prometheus_port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError) as caught:
            programs(settings)
    assert caught.value.where == "PROMETHEUS_PORT"


def test_a_gateway_on_any_port_cannot_be_found(make_settings: MakeSettings) -> None:
    with pytest.raises(ConfigurationError) as caught:
        prometheus_config(make_settings(port=0))
    assert caught.value.where == "PORT"


def test_an_address_that_is_none_is_refused_and_not_printed(
    slipway: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "hooks.example.org/s3cret")
    done = slipway("monitor")
    assert done.code == 1
    assert "ALERT_WEBHOOK_URL" in done.err and "https://host/path" in done.err
    assert "s3cret" not in done.err


@pytest.mark.slow
def test_what_prometheus_does_not_accept_ends_it_with_a_word(tmp_path: Path) -> None:
    program("prometheus")
    program("prometheus-alertmanager", "alertmanager")
    # Its data: a file where a folder belongs.
    place = tmp_path / "data" / "monitoring" / "prometheus" / "wal"
    place.parent.mkdir(parents=True)
    place.write_text("no folder")
    running = started(tmp_path)
    try:
        assert running.wait(PATIENCE) == 1, running.said
    finally:
        running.stop()
    log = tmp_path / "data" / "logs" / "prometheus.log"
    assert f"error: prometheus ended by itself; {log} says why" in running.said


def started(folder: Path) -> Running:
    """Run the command as a person does."""
    ports = {name: str(free_port()) for name in ("PROMETHEUS_PORT", "ALERTMANAGER_PORT")}
    environment = {"PATH": "/usr/bin:/bin", "DATA_DIR": str(folder / "data"),
                   "PYTHONPATH": str(ROOT), **ports}  # fmt: skip
    return Running([sys.executable, "-m", "services.cli", "monitor"], environment, folder / "log")


@pytest.mark.slow
def test_it_runs_both_until_it_is_told_to_stop(tmp_path: Path) -> None:
    program("prometheus")
    program("prometheus-alertmanager", "alertmanager")
    running = started(tmp_path)
    logs = tmp_path / "data" / "logs"
    try:
        for name, words in ((PROMETHEUS, "ready to receive"), (ALERTMANAGER, "Listening on")):
            log = logs / f"{name}.log"
            wait(lambda: log.exists() and words in log.read_text(), running=running)  # noqa: B023
        children = running.children()
        assert len(children) == 2
        running.process.send_signal(signal.SIGINT)
        assert running.wait() == 0, running.said
    finally:
        running.stop()
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert "Nobody is told" in running.said
