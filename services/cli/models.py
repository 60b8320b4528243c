"""`slipway models`: what is registered and serves, and fetching of what Slipway may not ship."""

import typer

from services.cli import models_compare, models_list, models_move, models_pull, models_show

app = typer.Typer(help="Registered models, and weights to be had.", no_args_is_help=True)
app.command("list")(models_list.show)
app.command("show")(models_show.show)
app.command("compare")(models_compare.compare)
app.command("promote")(models_move.promote)
app.command("archive")(models_move.archive)
app.command("rollback")(models_move.rollback)
app.command("pull")(models_pull.pull)
