"""Jobs, and what belongs to them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables; there is no way back but a copy of the database."""
    _jobs()
    _jobs_indices()
    _job_records()
    _job_chunks()
    _deliveries()
    _leases()
    _workers()
    _checks()


def _counter() -> "sa.Column[int]":
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("number", kind, sa.Identity(), nullable=False)


def _some(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def _jobs() -> None:
    op.create_table(
        "jobs",
        _counter(),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("queue", sa.String(16), nullable=False),
        sa.Column("task", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("caller", sa.String(128)),
        sa.Column("request_id", sa.String(128)),
        sa.Column("key", sa.String(512)),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("payload", sa.String(96)),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger()),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("webhook", sa.Text()),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("published", sa.BigInteger()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.String(128)),
        sa.Column("leased_until", sa.BigInteger()),
        sa.Column("cancel", sa.Boolean(), nullable=False),
        sa.Column("started", sa.BigInteger()),
        sa.Column("completed", sa.BigInteger()),
        sa.Column("progress", sa.Text()),
        sa.Column("result", sa.Text()),
        sa.Column("result_ref", sa.String(96)),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("number", name="pk_jobs"),
        sa.UniqueConstraint("id", name="uq_jobs_id"),
        sa.UniqueConstraint("key", name="uq_jobs_key"),
    )


def _jobs_indices() -> None:
    _some("ix_jobs_open", "jobs", ["queue", "state", "number"], "state < 2")
    _some("ix_jobs_unpublished", "jobs", ["number"], "state = 0 AND published IS NULL")
    _some("ix_jobs_ended", "jobs", ["completed"], "state >= 2")
    _some("ix_jobs_dead", "jobs", ["queue"], "state = 6")
    _some("ix_jobs_payload", "jobs", ["payload"], "payload IS NOT NULL")
    _some("ix_jobs_result_ref", "jobs", ["result_ref"], "result_ref IS NOT NULL")
    op.create_index("ix_jobs_task", "jobs", ["task", "number"])


def _job_records() -> None:
    op.create_table(
        "job_records",
        _counter(),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("job", sa.String(36)),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("writer", sa.String(64)),
        sa.Column("segment", sa.Integer()),
        sa.PrimaryKeyConstraint("number", name="pk_job_records"),
        sa.UniqueConstraint("id", name="uq_job_records_id"),
    )


def _job_chunks() -> None:
    op.create_table(
        "job_chunks",
        sa.Column("job", sa.String(36), nullable=False),
        sa.Column("chunk", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ref", sa.String(96), nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("job", "chunk", name="pk_job_chunks"),
    )
    op.create_index("ix_job_chunks_ref", "job_chunks", ["ref"])


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        _counter(),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("job", sa.String(36), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("last_error", sa.String(500)),
        sa.PrimaryKeyConstraint("number", name="pk_deliveries"),
        sa.UniqueConstraint("id", name="uq_deliveries_id"),
    )
    _some("ix_deliveries_due", "deliveries", ["due"], "state = 0")
    op.create_index("ix_deliveries_job", "deliveries", ["job", "number"])


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("holder", sa.String(128), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("queue", sa.String(16), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_workers"),
    )


def _checks() -> None:
    op.create_table(
        "checks",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("detail", sa.String(500)),
        sa.Column("checked", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_checks"),
    )
