"""Tables of live quality: answers beside what would have been right, and what follows from them."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from services.ledger.database.tables import JsonText, metadata

# One for each prediction: what the newest expectation says. It outlives the prediction.
judgements = Table(
    "judgements",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    # Of the expectation, in the order of arrival.
    Column("number", BigInteger, nullable=False),
    Column("model", String(256), nullable=False),
    Column("version", String(64), nullable=False),
    Column("family", String(64)),
    # When the prediction was made.
    Column("time", BigInteger, nullable=False),
    Column("answer", JsonText, nullable=False),
    Column("truth", JsonText, nullable=False),
    Column("bytes", Integer, nullable=False),
    Index("ix_judgements_window", "model", "version", "time"),
)

# How much feedback came, by version and kind: see `judgements.py`.
feedback_counts = Table(
    "feedback_counts",
    metadata,
    Column("model", String(256), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("count", BigInteger, nullable=False),
)

# What the window of each version says.
qualities = Table(
    "qualities",
    metadata,
    Column("model", String(256), primary_key=True),
    Column("version", String(64), primary_key=True),
    # Of `feedback_counts` (`judged`), when it was computed.
    Column("counted", BigInteger, nullable=False),
    Column("computed", BigInteger, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("metrics", JsonText, nullable=False),
    # Held-out values of the run that made the version; NULL: not asked for yet.
    Column("reference", JsonText(none_as_null=True)),
)
