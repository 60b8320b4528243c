"""Jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table; there is no way back but a copy of the database."""
    op.create_table(
        "jobs",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.Identity(),
            nullable=False,
        ),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("queue", sa.String(16), nullable=False),
        sa.Column("task", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("caller", sa.String(128)),
        sa.Column("request_id", sa.String(128)),
        sa.Column("key", sa.String(256)),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("payload", sa.String(96)),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger()),
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
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("number", name="pk_jobs"),
        sa.UniqueConstraint("id", name="uq_jobs_id"),
        sa.UniqueConstraint("key", name="uq_jobs_key"),
    )
    op.create_index("ix_jobs_created", "jobs", ["created"])
    op.create_index(
        "ix_jobs_open",
        "jobs",
        ["queue", "state", "number"],
        sqlite_where=sa.text("state < 2"),
        postgresql_where=sa.text("state < 2"),
    )
    op.create_index("ix_jobs_task", "jobs", ["task", "created"])
