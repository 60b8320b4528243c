"""`slipway models`: what can be served, and fetching of what Slipway may not ship."""

import typer

from services.cli import models_list, models_pull

app = typer.Typer(help="Models that can be served.", no_args_is_help=True)
app.command("list")(models_list.show)
app.command("pull")(models_pull.pull)
