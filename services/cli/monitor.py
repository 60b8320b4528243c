"""`slipway monitor`: Prometheus and Alertmanager for the Slipway of this machine."""

import asyncio
from typing import TYPE_CHECKING

import typer

from services.cli.console import err
from services.core.settings import get_settings

if TYPE_CHECKING:
    from services.core.settings import Settings


def monitor() -> None:
    """Run Prometheus and Alertmanager here, with Slipway's rules, until Ctrl-C or SIGTERM.

    They watch the Slipway on HOST and PORT, listen on PROMETHEUS_PORT and ALERTMANAGER_PORT of this
    machine only, and keep what they measure in DATA_DIR/monitoring, at most 15 days and 1 GB of it.
    Alerts are posted to ALERT_WEBHOOK_URL. Both programs must be installed (Debian, Ubuntu: apt
    install prometheus prometheus-alertmanager).
    """
    from services.cli.supervisor.monitoring import programs
    from services.cli.supervisor.supervisor import Supervisor

    settings = get_settings()
    found = programs(settings)
    for line in banner(settings):
        err.print(line)
    supervisor = Supervisor(found, lambda text: err.print(f"slipway: {text}"))
    code = asyncio.run(supervisor.run())
    if code:
        err.print(f"error: {found[0].name} ended by itself; {found[0].log} says why")
    raise typer.Exit(code)


def banner(settings: "Settings") -> list[str]:
    """Return what a person needs to know, to be copied as it stands."""
    prometheus = f"http://127.0.0.1:{settings.prometheus_port}"
    lines = [
        f"Prometheus is starting on {prometheus}",
        f"  what fires     {prometheus}/alerts",
        f"  what answers   {prometheus}/targets",
        f"  Alertmanager   http://127.0.0.1:{settings.alertmanager_port}",
        f"  logs           {settings.data_dir.absolute() / 'logs'}",
    ]
    if settings.alert_webhook_url is None:
        lines.append("Nobody is told: ALERT_WEBHOOK_URL is not set.")
    return [*lines, "Ctrl-C stops it.", ""]
