"""Assembles the commands and turns errors into one line and an exit code."""

from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from services import __version__
from services.cli import (
    config,
    deploy,
    drift,
    evaluate,
    jobs,
    ledger,
    models,
    monitor,
    run,
    seed_models,
    sweep,
    train,
    version,
)
from services.cli.console import INTERRUPTED, err, fail, out, quiet_logs

app = typer.Typer(
    name="slipway",
    help="Serve models, watch them and replace them. Settings come from the environment.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("monitor")(monitor.monitor)
app.command("config")(config.show)
app.command("version")(version.show)
app.add_typer(models.app, name="models")
app.add_typer(ledger.app, name="ledger")
app.add_typer(jobs.app, name="jobs")
app.add_typer(drift.app, name="drift")
app.add_typer(train.app, name="train")
app.add_typer(sweep.app, name="sweep")
app.command("seed-models")(seed_models.seed_models)
app.command("deploy")(deploy.deploy)
app.add_typer(evaluate.app, name="evaluate")


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True,
                     callback=_print_version),
    ] = False,
) -> None:  # fmt: skip
    """Options that come before the command."""
    quiet_logs()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; exits with 0, 1 (it failed), 2 (misused) or 130 (interrupted)."""
    try:
        code = app(args=arguments, prog_name="slipway", standalone_mode=False)
    except typer.TyperException as error:
        _misused(error)
    except typer.Abort:
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:  # the last line of defence: nobody wants a traceback unasked
        fail(error)
    raise SystemExit(code if isinstance(code, int) else 0)


def _misused(error: typer.TyperException) -> NoReturn:
    """Print one line for options that cannot be used."""
    message = " ".join(error.format_message().split())
    # Empty where nothing was given at all: typer has printed the help by then.
    if message:
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        err.print(f"error: {message}{hint}", style="bold red")
    raise SystemExit(error.exit_code)
