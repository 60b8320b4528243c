"""What is on record where: the journal, the database, the Parquet parts and the traces."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from services.ledger.places import Places
from services.ledger.reading import read, segments
from services.ledger.records import parse
from tests.chaos.records.processes import Mlflow
from tests.chaos.records.stand import EXPERIMENT
from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    import pandas as pd


# A file of SQLite, or the address of PostgreSQL.
Database = Path | str


def in_journal(places: Places) -> Counter[str]:
    """Count the records of each id in all segments that are still there."""
    found: Counter[str] = Counter()
    for segment in segments(places.journal):
        offset = 0
        while True:
            chunk = read(segment, offset)
            found.update(parse(entry.payload).id for entry in chunk.records)
            if chunk.finished or chunk.next_offset == offset:
                break
            offset = chunk.next_offset
    return found


def query(database: Database, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask a database that others may be using: a file of SQLite, or the address of PostgreSQL."""
    if isinstance(database, str):
        with psycopg.connect(database, connect_timeout=30) as connected:
            return connected.execute(sql.encode(), values).fetchall()
    with closing(
        sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=PATIENCE)
    ) as connection:
        return connection.execute(sql, values).fetchall()


def in_database(database: Database) -> set[str]:
    """Return the ids in the index."""
    return {row[0] for row in query(database, "SELECT id FROM predictions")}


def in_minutes(database: Database) -> int:
    """Return how many predictions the minutes count."""
    return int(query(database, "SELECT coalesce(sum(count), 0) FROM minutes")[0][0])


def totals(database: Database) -> dict[str, int]:
    """Return the counters that outlive a process."""
    return dict(query(database, "SELECT name, value FROM totals"))


def parts(server: Mlflow) -> list[Path]:
    """Return the Parquet parts that lie at the server."""
    return sorted((server.folder / "artifacts").rglob("predictions/*.parquet"))


def in_parquet(server: Mlflow, folder: Path) -> "pd.DataFrame":
    """Read back every part of every serving run, as a user would; null is None."""
    import mlflow.artifacts
    import pandas as pd
    from mlflow import MlflowClient

    client = MlflowClient(server.uri, server.uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    tables = []
    for run in client.search_runs(
        [experiment.experiment_id], "tags.`slipway.kind` = 'serving'", max_results=1000
    ):
        place = mlflow.artifacts.download_artifacts(
            run_id=run.info.run_id,
            artifact_path="predictions",
            dst_path=str(folder / run.info.run_id),
            tracking_uri=server.uri,
        )
        tables += [pd.read_parquet(path) for path in sorted(Path(place).rglob("*.parquet"))]
    table = pd.concat(tables, ignore_index=True)
    # Nulls of a column of text are NaN to pandas.
    return table.astype(object).where(table.notna(), None)


def in_traces(server: Mlflow) -> Counter[str]:
    """Count the spans of each trace, by the id of its prediction."""
    database = server.folder / "mlflow.db"
    named = "SELECT experiment_id FROM experiments WHERE name = ?"
    experiment = query(database, named, EXPERIMENT)[0][0]
    found = query(
        database,
        "SELECT t.request_id, count(s.span_id) FROM trace_info t LEFT JOIN spans s"
        " ON s.trace_id = t.request_id WHERE t.experiment_id = ? GROUP BY t.request_id",
        experiment,
    )
    return Counter({_prediction(trace): spans for trace, spans in found})


def dropped(metrics: str) -> float:
    """Return the sum of `ledger_dropped_total` over its labels."""
    lines = [line for line in metrics.splitlines() if line.startswith("ledger_dropped_total")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def _prediction(trace: str) -> str:
    digits = trace.removeprefix("tr-")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
