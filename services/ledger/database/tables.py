"""Tables of the ledger's database, for SQLite and PostgreSQL alike. Times: microseconds, UTC."""

import json
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

metadata = MetaData(
    # Names that migrations can count on, the same in both databases.
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


class JsonText(TypeDecorator[Any]):
    """Any JSON value, as it came: SQLite would take a JSON column's 4.0 for 4.

    Where a column may be empty, None is NULL; else it is the JSON value.
    """

    impl = Text
    cache_ok = True

    def __init__(self, *, none_as_null: bool = False) -> None:
        super().__init__()
        self.none_as_null = none_as_null

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Return what the column holds."""
        return None if value is None and self.none_as_null else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Return what it meant."""
        return None if value is None else json.loads(value)


# `trace_state` of a prediction, `state` of a feedback. What jobs need is in `job_tables.py`.
UNSENT, SENT, THINNED, REFUSED = 0, 1, 2, 3
PENDING, SENDING, ATTACHED, FAILED = 0, 1, 2, 3
# The condition of those that MLflow does not have yet; an index holds just them.
OPEN = f"state < {ATTACHED}"

# By column: what a row must be to stand in that column's index.
UNUSUAL = {
    "status": "status != 'succeeded'",
    "mode": "mode != 'sync'",
    "caller": "caller IS NOT NULL",
}

predictions = Table(
    "predictions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("time", BigInteger, nullable=False),
    Column("model", String(256), nullable=False),
    Column("version", String(64), nullable=False),
    Column("stage", String(32)),
    Column("mode", String(16), nullable=False),
    Column("caller", String(128)),
    Column("request_id", String(128)),
    Column("status", String(16), nullable=False),
    Column("error_code", String(64)),
    Column("seconds", Double, nullable=False),
    Column("confidence", Double),
    Column("trace_state", SmallInteger, nullable=False, default=UNSENT),
    # The whole record: JSON in UTF-8, as it stood in the journal.
    Column("record", LargeBinary, nullable=False),
    # One for each filter of a listing, newest first. Without the id: the few rows of one
    # microsecond are put in order when they are read, and a row costs 150 bytes less.
    Index("ix_predictions_time", "time"),
    Index("ix_predictions_model", "model", "time"),
    Index("ix_predictions_version", "version", "time"),
    Index("ix_predictions_model_version", "model", "version", "time"),
    # What most rows have in common is found by the time alone; to index it costs a third of the
    # speed of writing. `lookup.recent` names these conditions, or the index would not be used.
    *(
        Index(
            f"ix_predictions_{name}",
            name,
            "time",
            sqlite_where=text(condition),
            postgresql_where=text(condition),
        )
        for name, condition in UNUSUAL.items()
    ),
    Index(
        "ix_predictions_model_status",
        "model",
        "status",
        "time",
        sqlite_where=text(UNUSUAL["status"]),
        postgresql_where=text(UNUSUAL["status"]),
    ),
)

# How far each segment of a journal has been taken: offsets in bytes behind the last frame.
segments = Table(
    "segments",
    metadata,
    Column("writer", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("indexed_to", BigInteger, nullable=False, default=0),
    Column("traced_to", BigInteger, nullable=False, default=0),
    Column("records", BigInteger, nullable=False, default=0),
    Column("damaged", BigInteger, nullable=False, default=0),
    # Set once its Parquet parts are in MLflow.
    Column("stored", Boolean, nullable=False, default=False),
)

serving_runs = Table(
    "serving_runs",
    metadata,
    Column("model", String(256), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("experiment_id", String(64), nullable=False),
    Column("run_id", String(64), nullable=False),
)

# The condition of minutes of which MLflow has not been told all; an index holds just them.
UNTOLD = "shipped_count != count"

# What happened in each minute, by model and version; `histogram` counts durations by bucket.
minutes = Table(
    "minutes",
    metadata,
    Column("model", String(256), primary_key=True),
    Column("version", String(64), primary_key=True),
    # Whole minutes since 1970 (UTC).
    Column("minute", BigInteger, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("confidence_sum", Double, nullable=False),
    Column("confidence_count", BigInteger, nullable=False),
    Column("histogram", JSON, nullable=False),
    # What of `count` MLflow has been told.
    Column("shipped_count", BigInteger, nullable=False, default=0),
    Index("ix_minutes_minute", "minute"),
    Index("ix_minutes_untold", "minute", sqlite_where=text(UNTOLD), postgresql_where=text(UNTOLD)),
)

feedback = Table(
    "feedback",
    metadata,
    # Counts arrivals: the order does not hang on anybody's clock.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("prediction_id", String(36), nullable=False),
    Column("name", String(128), nullable=False),
    # `feedback`: somebody's judgement; `expectation`: what would have been right.
    Column("kind", String(16), nullable=False),
    Column("value", JsonText, nullable=False),
    Column("rationale", Text),
    Column("source", String(128)),
    Column("created", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False, default=PENDING),
    Column("attempts", Integer, nullable=False, default=0),
    Column("last_error", String(500)),
    Index("ix_feedback_prediction", "prediction_id", "number"),
    Index("ix_feedback_open", "number", sqlite_where=text(OPEN), postgresql_where=text(OPEN)),
)

# What the last look at a version found: whether what it is asked now is like its baseline.
drift_states = Table(
    "drift_states",
    metadata,
    Column("model", String(256), primary_key=True),
    Column("version", String(64), primary_key=True),
    # At the last look; NULL: it holds none that is looked at.
    Column("stage", String(16)),
    Column("checked", BigInteger, nullable=False),
    Column("verdict", String(24), nullable=False),
    Column("score", Double),
    Column("samples", Integer, nullable=False),
    Column("missing", Integer, nullable=False),
    # When the drift began that there is now.
    Column("since", BigInteger),
    # The verdict that MLflow's tag says; NULL: it has none yet.
    Column("told", String(24)),
    Column("report", JsonText, nullable=False),
)

# Every look that found something new, of each version the last few hundred.
drift_history = Table(
    "drift_history",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("model", String(256), nullable=False),
    Column("version", String(64), nullable=False),
    Column("checked", BigInteger, nullable=False),
    Column("verdict", String(24), nullable=False),
    Column("score", Double),
    Column("samples", Integer, nullable=False),
    Index("ix_drift_history_version", "model", "version", "number"),
)

# Counters that outlive a process: `traces_sent`, `traces_thinned`, `rows_stored`, ...
totals = Table(
    "totals",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
