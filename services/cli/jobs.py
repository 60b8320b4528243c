"""`slipway jobs`: what was accepted to be done, and what became of it."""

import typer

from services.cli import jobs_change, jobs_list, jobs_show, jobs_state

app = typer.Typer(help="Jobs: what waits, runs, ended, and who does it.", no_args_is_help=True)
app.command("list")(jobs_list.show)
app.command("show")(jobs_show.show)
app.command("wait")(jobs_change.wait)
app.command("cancel")(jobs_change.cancel)
app.command("retry")(jobs_change.retry)
app.command("queues")(jobs_state.queues)
app.command("workers")(jobs_state.workers)
app.command("check")(jobs_state.check)
