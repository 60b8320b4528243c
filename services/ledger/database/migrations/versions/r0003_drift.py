"""What the looks at drift found."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables; there is no way back but a copy of the database."""
    op.create_table(
        "drift_states",
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("stage", sa.String(16)),
        sa.Column("checked", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.String(24), nullable=False),
        sa.Column("score", sa.Double()),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("missing", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger()),
        sa.Column("told", sa.String(24)),
        sa.Column("report", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", name="pk_drift_states"),
    )
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "drift_history",
        sa.Column("number", number, sa.Identity(), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("checked", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.String(24), nullable=False),
        sa.Column("score", sa.Double()),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_drift_history"),
    )
    op.create_index("ix_drift_history_version", "drift_history", ["model", "version", "number"])
