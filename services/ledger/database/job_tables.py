"""Tables of jobs and of those who do them, beside the ledger's own. Times: microseconds, UTC."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

from services.ledger.database.job_rows import (
    DEAD_JOB,
    ENDED_JOB,
    LONGEST_KEY,
    OPEN_JOB,
    QUEUED,
    UNPUBLISHED_JOB,
)
from services.ledger.database.tables import JsonText, metadata

_COUNTER = BigInteger().with_variant(Integer, "sqlite")

# `state` of a delivery, and the condition of those that are still to be made.
DUE, DELIVERED, GIVEN_UP = 0, 1, 2
OPEN_DELIVERY = f"state = {DUE}"


def _some(name: str, condition: str, *columns: str) -> Index:
    """Return an index of the rows that fulfil a condition."""
    where = text(condition)
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


# Work that was accepted. What is large (`payload`, a long result) lies among the blobs.
jobs = Table(
    "jobs",
    metadata,
    # Counts arrivals: the order of a queue.
    Column("number", _COUNTER, Identity(), primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("queue", String(16), nullable=False),
    # What is done (`predict`, `train`), and to what: a model's or a family's name.
    Column("task", String(32), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("caller", String(128)),
    Column("request_id", String(128)),
    # Of whom it is and which key, with a digest of what was asked for under it.
    Column("key", String(LONGEST_KEY), unique=True),
    Column("fingerprint", String(64), nullable=False),
    Column("options", JsonText, nullable=False),
    Column("payload", String(96)),
    Column("created", BigInteger, nullable=False),
    # Nobody begins it from then on.
    Column("expires", BigInteger),
    # How it was asked for: async, sync (somebody waits for the answer), batch.
    Column("mode", String(16), nullable=False, default="async"),
    # Who wants to be told, and of what: `url`, `events`.
    Column("webhook", JsonText(none_as_null=True)),
    Column("state", SmallInteger, nullable=False, default=QUEUED),
    # When a message about it was last given to the broker; null: none is on its way.
    Column("published", BigInteger),
    Column("attempts", Integer, nullable=False, default=0),
    # Grows with each lease: who has an older one is no longer who works on it.
    Column("token", BigInteger, nullable=False, default=0),
    Column("worker", String(128)),
    Column("leased_until", BigInteger),
    Column("cancel", Boolean, nullable=False, default=False),
    Column("started", BigInteger),
    Column("completed", BigInteger),
    Column("progress", JsonText(none_as_null=True)),
    Column("result", JsonText(none_as_null=True)),
    # The blob that the result names, so that nobody deletes it before the job.
    Column("result_ref", String(96)),
    Column("error", JsonText(none_as_null=True)),
    _some("ix_jobs_open", OPEN_JOB, "queue", "state", "number"),
    _some("ix_jobs_unpublished", UNPUBLISHED_JOB, "number"),
    _some("ix_jobs_ended", ENDED_JOB, "completed"),
    _some("ix_jobs_dead", DEAD_JOB, "queue"),
    _some("ix_jobs_payload", "payload IS NOT NULL", "payload"),
    _some("ix_jobs_result_ref", "result_ref IS NOT NULL", "result_ref"),
    Index("ix_jobs_task", "task", "number"),
)

# Records of predictions, written with the result of their job, on their way into a journal.
job_records = Table(
    "job_records",
    metadata,
    Column("number", _COUNTER, Identity(), primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("time", BigInteger, nullable=False),
    Column("job", String(36)),
    Column("payload", LargeBinary, nullable=False),
    # The segment that was chosen for it; null: none yet.
    Column("writer", String(64)),
    Column("segment", Integer),
)

# Pieces of a batch that are done; `ref` is the blob of their results.
job_chunks = Table(
    "job_chunks",
    metadata,
    Column("job", String(36), primary_key=True),
    Column("chunk", Integer, primary_key=True, autoincrement=False),
    Column("ref", String(96), nullable=False),
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Index("ix_job_chunks_ref", "ref"),
)

# Webhooks that are to be sent, and those that were; `id` is the same in every try.
deliveries = Table(
    "deliveries",
    metadata,
    Column("number", _COUNTER, Identity(), primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("job", String(36), nullable=False),
    Column("event", String(16), nullable=False),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("state", SmallInteger, nullable=False, default=DUE),
    Column("last_error", String(500)),
    _some("ix_deliveries_due", OPEN_DELIVERY, "due"),
    Index("ix_deliveries_job", "job", "number"),
)

# Who does what only one may do at a time. `token` grows with each change of hands.
leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(128), nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
)

# Processes that do jobs, by what they say of themselves.
workers = Table(
    "workers",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("queue", String(16), nullable=False),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("running", Integer, nullable=False, default=0),
)

# What the last look at each part of the system found.
checks = Table(
    "checks",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("detail", String(500)),
    Column("checked", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
)
