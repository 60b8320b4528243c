"""`slipway jobs queues`, `workers` and `check`: how it stands with all of them."""

import json
import time
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from services.cli import jobs_sources as sources
from services.cli.console import FAILED, err, out
from services.cli.jobs_sources import STYLES, AsJson
from services.cli.ledger_sources import plain, span
from services.jobs.names import QUEUES

if TYPE_CHECKING:
    from services.jobs.watch import Sight


def queues(as_json: AsJson = False) -> None:
    """Show each queue: what waits, runs and is dead, and how many workers it has."""
    sight = _look()
    now = time.time()
    rows = []
    for queue in QUEUES:
        depth = sight.depths.get(queue)
        oldest = None if depth is None or depth.oldest is None else now - depth.oldest / 1e6
        rows.append(
            {
                "queue": queue,
                "waiting": sight.waiting(queue),
                "oldest_seconds": oldest,
                "unpublished": 0 if depth is None else depth.unpublished,
                "running": 0 if depth is None else depth.running,
                "dead": sight.dead.get(queue, 0),
                "workers": sight.present(queue),
            }
        )
    if as_json:
        out.print(json.dumps({"queues": rows}, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("queue", "wait", "oldest", "without message", "run", "dead", "workers"):
        table.add_column(heading)
    for row in rows:
        seconds = row["oldest_seconds"]
        age = "" if not isinstance(seconds, float) else span(seconds)
        cells = (row["waiting"], age, row["unpublished"], row["running"], row["dead"])
        table.add_row(str(row["queue"]), *map(str, cells), str(row["workers"]))
    out.print(table)


def workers(as_json: AsJson = False) -> None:
    """Show the processes that do jobs, and the beat."""
    sight = _look()
    now = time.time()
    if as_json:
        found = [
            {
                "name": one.name, "queue": one.queue, "host": one.host, "pid": one.pid,
                "started_at": one.started / 1e6, "seen_at": one.seen / 1e6, "running": one.running,
            }
            for one in sight.workers
        ]  # fmt: skip
        out.print(json.dumps({"workers": found}, indent=2, ensure_ascii=False))
        return
    if not sight.workers:
        err.print("No worker is there; slipway run starts one for each queue.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("queue", "name", "host", "process", "runs", "up for", "seen"):
        table.add_column(heading, overflow="fold")
    for one in sight.workers:
        table.add_row(
            one.queue, plain(one.name), plain(one.host), str(one.pid), str(one.running),
            span(now - one.started / 1e6), f"{span(max(0.0, now - one.seen / 1e6))} ago",
        )  # fmt: skip
    out.print(table)


def check(as_json: AsJson = False) -> None:
    """Say whether jobs are done: Redis, the database, workers, the beat, and what it looks after.

    Exit code 0: all is well; 1: it is not, and it says why.
    """
    from services.jobs.health import judge

    if not sources.settings().jobs:
        err.print("No jobs are accepted here (JOBS=false).")
        return
    verdict = judge(_look(ping=True))
    if as_json:
        found = {"services": verdict.services, "workers": verdict.workers}
        out.print(json.dumps({**found, "reason": verdict.reason}, indent=2))
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, status in verdict.services.items():
            table.add_row(name, Text(status, style=STYLES.get(status, "")))
        for queue, count in verdict.workers.items():
            table.add_row(f"workers of {queue}", str(count))
        out.print(table)
        if verdict.reason is not None:
            err.print(verdict.reason, style="bold red")
    if verdict.reason is not None:
        raise typer.Exit(FAILED)


def _look(*, ping: bool = False) -> "Sight":
    from services.jobs import watch

    answers = watch.answers(sources.settings()) if ping else None
    with sources.opened() as database:
        if database is None:
            return watch.Sight(time=time.time(), redis=answers, database=True)
        with database.reading() as connection:
            return watch.read(connection, answers)
