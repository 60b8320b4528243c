"""`slipway drift`: are the versions that serve still asked what they were trained on?"""

import typer

from services.cli import drift_baseline, drift_look

app = typer.Typer(
    help="Drift: what models are asked now, against what they were trained on.",
    no_args_is_help=True,
)
app.command("status")(drift_look.status)
app.command("check")(drift_look.check)
app.command("baseline")(drift_baseline.baseline)
