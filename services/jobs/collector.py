"""Jobs as metrics: read from the database when somebody asks, so that no restart loses a count."""

import time
from collections.abc import Iterator, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.jobs.health import BEAT, HEALTHY, UNKNOWN, judge
from services.jobs.names import BATCH, INTERACTIVE, QUEUES, TRAINING
from services.jobs.watch import JobWatch, Sight

# The tasks of upkeep are no jobs.
_JOB_QUEUES = (INTERACTIVE, BATCH, TRAINING)
_STATUSES = ("succeeded", "failed", "canceled", "expired", "dead")
_SENT = {"delivered": "webhooks_delivered", "given_up": "webhooks_given_up"}
# Older figures than this are no figures.
_FRESH_SECONDS = 120.0

# By the total's name, without its queue.
_COUNTERS = {
    "job_attempts": ("job_attempts_total", "Times that a worker began a job."),
    "job_retries": ("job_retries_total", "Jobs queued again because their worker was lost."),
}


class JobCollector(Collector):
    """Metrics of jobs, for a registry of `prometheus_client`. Waits for nothing: see `JobWatch`."""

    def __init__(self, watch: JobWatch) -> None:
        self._watch = watch

    def describe(self) -> list[Metric]:
        """Return nothing: the names are not looked at when it is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as of the last seconds."""
        sight = self._watch.look()
        if time.time() - sight.time > _FRESH_SECONDS:
            return
        yield _services(sight)
        if not sight.database:
            return
        yield from _queues(sight)
        yield from _totals(sight.totals)
        yield GaugeMetricFamily(
            "webhook_deliveries_pending", "Webhooks that are still to be sent.", sight.pending
        )


def _services(sight: Sight) -> Metric:
    family = GaugeMetricFamily(
        "service_up", "1 while a part of the system is healthy.", labels=["service"]
    )
    for name, status in sorted(judge(sight).services.items()):
        if status != UNKNOWN:
            family.add_metric([name], float(status == HEALTHY))
    return family


def _queues(sight: Sight) -> Iterator[Metric]:
    now = time.time()
    depth, age, running, unpublished, dead = (
        GaugeMetricFamily(name, text, labels=["queue"])
        for name, text in (
            ("jobs_queue_depth", "Jobs that wait."),
            ("job_age_seconds", "Age of the oldest job that waits; 0: none does."),
            ("jobs_running", "Jobs that a worker is at."),
            ("jobs_unpublished", "Jobs that wait for Redis."),
            ("job_dead_letters", "Jobs given up because they lost every worker that began them."),
        )
    )
    for queue in _JOB_QUEUES:
        found = sight.depths.get(queue)
        oldest = None if found is None else found.oldest
        depth.add_metric([queue], sight.waiting(queue))
        age.add_metric([queue], 0.0 if oldest is None else max(0.0, now - oldest / 1e6))
        running.add_metric([queue], 0 if found is None else found.running)
        unpublished.add_metric([queue], 0 if found is None else found.unpublished)
        dead.add_metric([queue], sight.dead.get(queue, 0))
    workers = GaugeMetricFamily("workers", "Processes that are there.", labels=["queue"])
    for queue in (*QUEUES, BEAT):
        workers.add_metric([queue], sight.present(queue))
    yield from (depth, age, running, unpublished, dead, workers)


def _totals(totals: Mapping[str, int]) -> Iterator[Metric]:
    jobs = CounterMetricFamily("jobs_total", "Jobs that ended.", labels=["queue", "status"])
    for queue in _JOB_QUEUES:
        for status in _STATUSES:
            jobs.add_metric([queue, status], totals.get(f"jobs_{status}_{queue}", 0))
    yield jobs
    for key, (name, text) in _COUNTERS.items():
        family = CounterMetricFamily(name, text, labels=["queue"])
        for queue in _JOB_QUEUES:
            family.add_metric([queue], totals.get(f"{key}_{queue}", 0))
        yield family
    duration = SummaryMetricFamily(
        "job_duration_seconds", "Time from a job's beginning to its end.", labels=["queue"]
    )
    wait = SummaryMetricFamily(
        "job_wait_seconds", "Time from a job's acceptance to its beginning.", labels=["queue"]
    )
    for queue in _JOB_QUEUES:
        done = totals.get(f"job_timed_{queue}", 0)
        duration.add_metric([queue], done, totals.get(f"job_micros_{queue}", 0) / 1e6)
        wait.add_metric([queue], done, totals.get(f"job_wait_micros_{queue}", 0) / 1e6)
    yield from (duration, wait)
    yield CounterMetricFamily(
        "job_lease_losses_total",
        "Results thrown away because their job had been given to somebody else.",
        totals.get("lease_losses", 0),
    )
    sent = CounterMetricFamily(
        "webhook_deliveries_total", "Webhooks by what became of them.", labels=["result"]
    )
    for result, key in _SENT.items():
        sent.add_metric([result], totals.get(key, 0))
    yield sent
