"""The Prometheus and the Alertmanager of `slipway monitor`, and their configuration.

The files in `monitoring/` are written for compose; here the addresses of this machine are put in.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

import services
from services.cli.supervisor.places import LOCAL, check_free, log_of
from services.cli.supervisor.program import Program
from services.core.errors import ConfigurationError
from services.core.settings import Settings

PROMETHEUS, ALERTMANAGER = "prometheus", "alertmanager"
SOURCE = Path(services.__file__).parents[1] / "monitoring"
_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 -- compared, not listened on
# What is measured here takes no more than this, whichever comes first.
_KEEP_TIME, _KEEP_BYTES = "15d", "1GB"
# Days that Alertmanager knows what it has sent.
_KEEP_NOTICES = "120h"
_PACKAGE = "its program (Debian, Ubuntu: apt install prometheus prometheus-alertmanager)"


def programs(settings: Settings) -> list[Program]:
    """Return what to run, with its configuration written below `DATA_DIR/monitoring`.

    Raises:
        ConfigurationError: a program or its files are not installed, or a port is taken.
    """
    found = {
        PROMETHEUS: _installed("Prometheus", "prometheus"),
        # Debian's name of it comes first: another program has the short one there.
        ALERTMANAGER: _installed("Alertmanager", "prometheus-alertmanager", "alertmanager"),
    }
    ports = {PROMETHEUS: settings.prometheus_port, ALERTMANAGER: settings.alertmanager_port}
    for name, port in ports.items():
        # The packages start services of their own.
        hint = f"a free port, or that of a service {name} which was stopped"
        check_free(port, f"{name.upper()}_PORT", hint)
    home = settings.data_dir.absolute() / "monitoring"
    written = {
        PROMETHEUS: _write(home, PROMETHEUS, lambda: prometheus_config(settings)),
        ALERTMANAGER: _write(home, ALERTMANAGER, lambda: alertmanager_config(settings)),
    }
    options = {
        PROMETHEUS: (
            f"--storage.tsdb.path={home / PROMETHEUS}",
            f"--storage.tsdb.retention.time={_KEEP_TIME}",
            f"--storage.tsdb.retention.size={_KEEP_BYTES}",
        ),
        ALERTMANAGER: (
            f"--storage.path={home / ALERTMANAGER}",
            f"--data.retention={_KEEP_NOTICES}",
            # One alone; without this it opens a second port for its neighbours.
            "--cluster.listen-address=",
        ),
    }
    return [
        Program(
            name,
            (
                found[name],
                f"--config.file={written[name]}",
                f"--web.listen-address={LOCAL}:{ports[name]}",
                *options[name],
            ),
            dict(os.environ),
            log=log_of(settings, name),
        )
        for name in (PROMETHEUS, ALERTMANAGER)
    ]


def prometheus_config(settings: Settings) -> dict[str, Any]:
    """Return the configuration of `monitoring/prometheus` for this machine."""
    config = _read(SOURCE / "prometheus" / "prometheus.yml")
    places = {
        "slipway": _gateway(settings),
        PROMETHEUS: f"{LOCAL}:{settings.prometheus_port}",
        ALERTMANAGER: f"{LOCAL}:{settings.alertmanager_port}",
    }
    config["rule_files"] = [str(SOURCE / "prometheus" / one) for one in config["rule_files"]]
    config["alerting"] = {"alertmanagers": [{"static_configs": _static(places[ALERTMANAGER])}]}
    config["scrape_configs"] = [
        {
            **{key: value for key, value in scrape.items() if not key.endswith("_sd_configs")},
            "static_configs": _static(places[scrape["job_name"]]),
        }
        for scrape in config["scrape_configs"]
        if scrape["job_name"] in places
    ]
    return config


def alertmanager_config(settings: Settings) -> dict[str, Any]:
    """Return the configuration of `monitoring/alertmanager` with the addresses of the settings."""
    config = _read(SOURCE / "alertmanager" / "alertmanager.yml")
    config["templates"] = [str(SOURCE / "alertmanager" / one) for one in config["templates"]]
    for receiver in config["receivers"]:
        watches = receiver["name"] == "watchdog"
        address = settings.alert_watchdog_url if watches else settings.alert_webhook_url
        hooks = receiver.pop("webhook_configs")
        if address is not None:
            receiver["webhook_configs"] = [{**hook, "url": address} for hook in hooks]
    return config


def _static(address: str) -> list[dict[str, list[str]]]:
    return [{"targets": [address]}]


def _gateway(settings: Settings) -> str:
    if settings.port == 0:
        raise ConfigurationError(
            "It is not known where Slipway listens.",
            where="PORT",
            expected="the port that it is on",
        )
    host = LOCAL if settings.host in _EVERYWHERE else settings.host
    return f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"


def _installed(title: str, *names: str) -> str:
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    raise ConfigurationError(f"{title} is not installed here.", where="PATH", expected=_PACKAGE)


def _read(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            "The files of monitoring are not here.",
            where=str(file),
            expected="Slipway in a checkout, as `make run` has it",
        ) from error
    return found


def _write(home: Path, name: str, config: Callable[[], dict[str, Any]]) -> Path:
    file = home / f"{name}.yml"
    text = yaml.safe_dump(config(), sort_keys=False)
    (home / name).mkdir(parents=True, exist_ok=True)
    # Addresses of webhooks are secrets: nobody else reads them, not even for a moment.
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    return file
