"""The ledger's tables as they were at first."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them; there is no way back but a copy of the database."""
    _feedback()
    _minutes()
    _predictions()
    _segments()
    _serving_runs()
    _totals()


def _feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.Identity(),
            nullable=False,
        ),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("prediction_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("rationale", sa.Text()),
        sa.Column("source", sa.String(128)),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(500)),
        sa.PrimaryKeyConstraint("number", name="pk_feedback"),
        sa.UniqueConstraint("id", name="uq_feedback_id"),
    )
    op.create_index(
        "ix_feedback_open",
        "feedback",
        ["number"],
        sqlite_where=sa.text("state < 2"),
        postgresql_where=sa.text("state < 2"),
    )
    op.create_index("ix_feedback_prediction", "feedback", ["prediction_id", "number"])


def _minutes() -> None:
    op.create_table(
        "minutes",
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("confidence_sum", sa.Double(), nullable=False),
        sa.Column("confidence_count", sa.BigInteger(), nullable=False),
        sa.Column("histogram", sa.JSON(), nullable=False),
        sa.Column("shipped_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", "minute", name="pk_minutes"),
    )
    op.create_index("ix_minutes_minute", "minutes", ["minute"])
    op.create_index(
        "ix_minutes_untold",
        "minutes",
        ["minute"],
        sqlite_where=sa.text("shipped_count != count"),
        postgresql_where=sa.text("shipped_count != count"),
    )


def _predictions() -> None:
    op.create_table(
        "predictions",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("stage", sa.String(32)),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("caller", sa.String(128)),
        sa.Column("request_id", sa.String(128)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("error_code", sa.String(64)),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("confidence", sa.Double()),
        sa.Column("trace_state", sa.SmallInteger(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_predictions"),
    )
    op.create_index(
        "ix_predictions_caller",
        "predictions",
        ["caller", "time"],
        sqlite_where=sa.text("caller IS NOT NULL"),
        postgresql_where=sa.text("caller IS NOT NULL"),
    )
    op.create_index(
        "ix_predictions_mode",
        "predictions",
        ["mode", "time"],
        sqlite_where=sa.text("mode != 'sync'"),
        postgresql_where=sa.text("mode != 'sync'"),
    )
    op.create_index("ix_predictions_model", "predictions", ["model", "time"])
    op.create_index(
        "ix_predictions_model_status",
        "predictions",
        ["model", "status", "time"],
        sqlite_where=sa.text("status != 'succeeded'"),
        postgresql_where=sa.text("status != 'succeeded'"),
    )
    op.create_index("ix_predictions_model_version", "predictions", ["model", "version", "time"])
    op.create_index(
        "ix_predictions_status",
        "predictions",
        ["status", "time"],
        sqlite_where=sa.text("status != 'succeeded'"),
        postgresql_where=sa.text("status != 'succeeded'"),
    )
    op.create_index("ix_predictions_time", "predictions", ["time"])
    op.create_index("ix_predictions_version", "predictions", ["version", "time"])


def _segments() -> None:
    op.create_table(
        "segments",
        sa.Column("writer", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("indexed_to", sa.BigInteger(), nullable=False),
        sa.Column("traced_to", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("damaged", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("writer", "number", name="pk_segments"),
    )


def _serving_runs() -> None:
    op.create_table(
        "serving_runs",
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("experiment_id", sa.String(64), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", "day", name="pk_serving_runs"),
    )


def _totals() -> None:
    op.create_table(
        "totals",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_totals"),
    )
