"""Jobs: what waits, for how long, who works, what ended how.

Every gateway reads these figures from the one database: the highest of them is the figure, and a
sum would count it once for each gateway.
"""

from monitoring.grafana.build.board import Board, Row
from monitoring.grafana.build.panels import at_a_glance, lines, states
from monitoring.grafana.build.style import Limits, Query
from monitoring.grafana.build.tables import Column, rows

_HERE = 'instance=~"$instance"'
_NO_JOBS = "The gateways run without jobs (JOBS=false), or have just started."
_NONE = "No job ended in the range."


def _now(metric: str, *by: str) -> str:
    return f"max by ({', '.join(by)}) ({metric}{{{_HERE}}})"


def _rate(metric: str, *by: str, window: str = "$__rate_interval", where: str = _HERE) -> str:
    return f"max by ({', '.join(by)}) (rate({metric}{{{where}}}[{window}]))"


def _grown(metric: str, window: str, *by: str, where: str = _HERE) -> str:
    return f"max by ({', '.join(by)}) (increase({metric}{{{where}}}[{window}]))"


def _mean(metric: str) -> str:
    total, count = (_grown(f"{metric}_{part}", "15m", "queue") for part in ("sum", "count"))
    return f"{total} / ({count} > 0)"


_BAD = f'status=~"failed|dead|expired", {_HERE}'

_GLANCE = Row(
    "In a minute: are jobs being done?",
    [
        at_a_glance(
            "Queues without a worker",
            f"count({_now('workers', 'queue')} == 0) or vector(0)",
            Limits(1),
            about="Queues (and the beat) that nobody is there for: jobs are accepted and wait.",
            empty="0",
        ),
        at_a_glance(
            "Oldest that waits",
            f"max(job_age_seconds{{{_HERE}}})",
            Limits(300, 60),
            unit="s",
            about="Age of the oldest job that no worker has begun.",
            empty=_NO_JOBS,
        ),
        at_a_glance(
            "Waiting now",
            f"sum({_now('jobs_queue_depth', 'queue')})",
            Limits(1000, 100),
            about="All queues together; from JOB_MAX_QUEUED (10,000) on, new ones are refused.",
            empty=_NO_JOBS,
        ),
        at_a_glance(
            "Dead letters",
            f"sum({_now('job_dead_letters', 'queue')})",
            Limits(1),
            about="Jobs given up because they lost every worker that began them. "
            "`slipway jobs list --state dead`",
            empty=_NO_JOBS,
        ),
        at_a_glance(
            "Failed (1 h)",
            f"(sum({_grown('jobs_total', '1h', 'queue', 'status', where=_BAD)}) or vector(0))"
            f" / (sum({_grown('jobs_total', '1h', 'queue', 'status')}) > 0)",
            Limits(0.05, 0.01),
            unit="percentunit",
            decimals=1,
            about="Share of the jobs of the last hour that failed, expired or were given up.",
            empty="No job ended within the hour.",
        ),
        at_a_glance(
            "Waiting for Redis",
            f"sum({_now('jobs_unpublished', 'queue')})",
            Limits(100, 1),
            about="Accepted jobs whose message Redis has not got yet. It stays above 0 while "
            "Redis is away; nothing is lost.",
            empty=_NO_JOBS,
        ),
    ],
)

_QUEUES = Row(
    "Queues",
    [
        lines(
            "Jobs that wait",
            Query(_now("jobs_queue_depth", "queue"), "{{queue}}"),
            stacked=True,
            about="By queue. Growing without end: more is asked than the workers do.",
            empty=_NO_JOBS,
        ),
        lines(
            "Age of the oldest that waits",
            Query(_now("job_age_seconds", "queue"), "{{queue}}"),
            unit="s",
            limit=300,
            about="By queue; 0: none waits. A straight line upwards: nobody takes any.",
            empty=_NO_JOBS,
        ),
        lines(
            "Being done",
            Query(_now("jobs_running", "queue"), "{{queue}}"),
            about="Jobs that a worker is at.",
            empty=_NO_JOBS,
        ),
    ],
)

_DONE = Row(
    "What becomes of them",
    [
        lines(
            "Ended, by queue and how",
            Query(_rate("jobs_total", "queue", "status"), "{{queue}} {{status}}"),
            unit="ops",
            stacked=True,
            about="Jobs a second that reached their end.",
            empty=_NONE,
        ),
        lines(
            "Begun, and queued again",
            [
                Query(_rate("job_attempts_total", "queue"), "{{queue}} begun"),
                Query(_rate("job_retries_total", "queue"), "{{queue}} again"),
            ],
            unit="ops",
            about="Times that a worker began a job; again: because its worker was lost.",
            empty=_NO_JOBS,
        ),
        lines(
            "Mean time: waiting, and at work (15 min)",
            [
                Query(_mean("job_wait_seconds"), "{{queue}} waiting"),
                Query(_mean("job_duration_seconds"), "{{queue}} at work"),
            ],
            unit="s",
            about="From acceptance to beginning, and from beginning to end.",
            empty="No job ended within a quarter of an hour.",
        ),
        rows(
            "Queues over the last hour",
            ["queue"],
            [
                Column("waiting", _now("jobs_queue_depth", "queue")),
                Column("oldest", _now("job_age_seconds", "queue"), "s", Limits(300, 60)),
                Column("at work", _now("jobs_running", "queue")),
                Column("workers", _now("workers", "queue"), limits=Limits(1, low=True)),
                Column(
                    "ended",
                    f"sum by (queue) ({_grown('jobs_total', '1h', 'queue', 'status')})",
                    decimals=0,
                ),
                Column(
                    "not well",
                    f"sum by (queue) ({_grown('jobs_total', '1h', 'queue', 'status', where=_BAD)})",
                    limits=Limits(1),
                    decimals=0,
                ),
                Column("dead letters", _now("job_dead_letters", "queue"), limits=Limits(1)),
            ],
            about="Each queue in a line. upkeep and beat do no jobs: they have workers only.",
            empty=_NO_JOBS,
        ),
    ],
)

_WORKERS = Row(
    "Workers, leases, webhooks",
    [
        states(
            "Workers by queue",
            Query(_now("workers", "queue"), "{{queue}}"),
            words={"0": "none"},
            limits=Limits(1, low=True),
            about="Processes that say that they are there.",
            empty=_NO_JOBS,
        ),
        lines(
            "Given up and lost",
            [
                Query(_now("job_dead_letters", "queue"), "{{queue}} dead letters"),
                Query(
                    f"max(increase(job_lease_losses_total{{{_HERE}}}[$__rate_interval]))",
                    "results that came too late",
                ),
            ],
            about="Dead letters as they stand, and results thrown away because the job had been "
            "given to another worker: workers that stood still.",
            empty=_NO_JOBS,
            span=6,
        ),
        lines(
            "Webhooks",
            [
                Query(_rate("webhook_deliveries_total", "result"), "{{result}}"),
                Query(f"max(webhook_deliveries_pending{{{_HERE}}})", "still to be sent"),
            ],
            about="Notices of ended jobs: sent, given up, still to be sent.",
            empty=_NO_JOBS,
            span=6,
        ),
    ],
)

BOARD = Board(
    uid="slipway-jobs",
    about="Jobs by queue: waiting, being done, ended; workers.",
    chosen=("instance",),
    rows=[_GLANCE, _QUEUES, _DONE, _WORKERS],
)
