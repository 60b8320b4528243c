"""`slipway deploy`: promote a version, if it holds what it must."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import models_checks
from services.cli.console import FAILED, err, out
from services.cli.models_registry import desk, print_json, stage

if TYPE_CHECKING:
    from services.rollout.deploy import Report


def deploy(
    model: Annotated[
        str, typer.Option("--model", "--model-name", help="Name of the registered model.",
                          show_default=False)
    ],
    version: Annotated[
        str, typer.Option("--version", help="Its number, or what its tag `version` says (2.0.0).",
                          show_default=False)
    ],
    source_stage: Annotated[
        str | None,
        typer.Option("--source-stage", help="Stage it has to be in: development, staging …"),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", help="Stage to go to; by default staging, and from there production."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check; change nothing.")] = False,
    data: models_checks.Data = None,
    target: models_checks.Target = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(help="A check to leave out: signature, example, accuracy or latency."),
    ] = None,
    max_latency_ms: models_checks.MaxLatency = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="How far accuracy may fall below the serving version's."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Promote without asking.")] = False,
) -> None:  # fmt: skip
    """Check a version against the one that serves, and promote it if every check holds.

    Exit code 0: every check holds (and it was promoted, unless --dry-run); 1: it was not promoted;
    2: misused.
    """
    options = models_checks.options(data, target, skip or (), max_latency_ms, tolerance)
    source, goal = stage(source_stage), stage(to)
    from services.rollout.deploy import Order, deploy

    here = desk()
    order = Order(model, version, source, goal, dry_run, options=options)
    shown = False

    def agree(report: "Report") -> bool:
        nonlocal shown
        if yes or as_json or not sys.stdin.isatty():
            return True
        _show(report)
        shown = True
        return typer.confirm(f"Promote it to {report.to}?", err=True)

    report = deploy(
        here.registry, here.families, here.settings, order,
        note=models_checks.note, confirm=agree,
    )  # fmt: skip
    if as_json:
        print_json(report.as_json())
    elif not shown:
        _show(report)
    err.print(_verdict(report))
    if not (report.promoted or (dry_run and report.passed)):
        raise typer.Exit(FAILED)


def _show(report: "Report") -> None:
    against = "no version serves yet"
    if report.serving is not None:
        against = f"against version {report.serving}, which serves"
    out.print(f"{report.name} version {report.version}, {report.stage} → {report.to}, {against}")
    out.print(models_checks.table(report.checks))


def _verdict(report: "Report") -> str:
    what = f"Version {report.version} of {report.name}"
    failed = [check.name for check in report.checks if check.outcome == "failed"]
    if failed:
        return f"{what} stays in {report.stage}: {', '.join(failed)} failed."
    if report.dry_run:
        return f"{what} may go to {report.to}. Nothing was changed (--dry-run)."
    if not report.promoted:
        return f"{what} stays in {report.stage}."
    left_out = [check.name for check in report.checks if check.outcome == "skipped"]
    note = f" Not checked: {', '.join(left_out)}." if left_out else ""
    return f"{what} is in {report.to} now.{note}"
