"""What the predictions that somebody judged say of their version."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables; there is no way back but a copy of the database."""
    op.create_table(
        "judgements",
        sa.Column("prediction_id", sa.String(36), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("family", sa.String(64)),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("truth", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", name="pk_judgements"),
    )
    op.create_index("ix_judgements_window", "judgements", ["model", "version", "time"])
    op.create_table(
        "feedback_counts",
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", "kind", name="pk_feedback_counts"),
    )
    op.create_table(
        "qualities",
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("computed", sa.BigInteger(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text()),
        sa.PrimaryKeyConstraint("model", "version", name="pk_qualities"),
    )
