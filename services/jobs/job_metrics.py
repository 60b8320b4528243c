"""What is exposed about jobs."""

from services.core.metering.definition import Definition

_SOURCE = "the ledger's database, at each scrape of a gateway (no older than some seconds)"
_QUEUE = ("queue",)

DEPTH = Definition("jobs_queue_depth", "gauge", "Jobs that wait.", _QUEUE, _SOURCE, "jobs")
AGE = Definition(
    "job_age_seconds", "gauge", "Age of the oldest job that waits; 0: none does.", _QUEUE, _SOURCE
)
RUNNING = Definition("jobs_running", "gauge", "Jobs that a worker is at.", _QUEUE, _SOURCE, "jobs")
UNPUBLISHED = Definition(
    "jobs_unpublished", "gauge", "Jobs that wait for Redis.", _QUEUE, _SOURCE, "jobs"
)
DEAD = Definition(
    "job_dead_letters",
    "gauge",
    "Jobs given up because they lost every worker that began them.",
    _QUEUE,
    _SOURCE,
    "jobs",
)
WORKERS = Definition("workers", "gauge", "Processes that are there.", _QUEUE, _SOURCE, "processes")
JOBS = Definition("jobs_total", "counter", "Jobs that ended.", ("queue", "status"), _SOURCE)
ATTEMPTS = Definition(
    "job_attempts_total", "counter", "Times that a worker began a job.", _QUEUE, _SOURCE
)
RETRIES = Definition(
    "job_retries_total",
    "counter",
    "Jobs queued again because their worker was lost.",
    _QUEUE,
    _SOURCE,
)
DURATION = Definition(
    "job_duration_seconds",
    "summary",
    "Time from a job's beginning to its end.",
    _QUEUE,
    _SOURCE,
)
WAIT = Definition(
    "job_wait_seconds",
    "summary",
    "Time from a job's acceptance to its beginning.",
    _QUEUE,
    _SOURCE,
)
LEASE_LOSSES = Definition(
    "job_lease_losses_total",
    "counter",
    "Results thrown away because their job had been given to somebody else.",
    source=_SOURCE,
)
WEBHOOKS = Definition(
    "webhook_deliveries_total",
    "counter",
    "Webhooks by what became of them: delivered, given_up.",
    ("result",),
    _SOURCE,
)
WEBHOOKS_PENDING = Definition(
    "webhook_deliveries_pending",
    "gauge",
    "Webhooks that are still to be sent.",
    source=_SOURCE,
    unit="webhooks",
)
DEFINITIONS = (
    DEPTH, AGE, RUNNING, UNPUBLISHED, DEAD, WORKERS, JOBS, ATTEMPTS, RETRIES, DURATION, WAIT,
    LEASE_LOSSES, WEBHOOKS, WEBHOOKS_PENDING,
)  # fmt: skip
