"""Jobs as metrics: read from the database when somebody asks, so that no restart loses a count."""

import time
from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.jobs import job_metrics as m
from services.jobs.health import BEAT
from services.jobs.names import BATCH, INTERACTIVE, QUEUES, TRAINING
from services.jobs.watch import JobWatch, Sight

# The tasks of upkeep are no jobs.
_JOB_QUEUES = (INTERACTIVE, BATCH, TRAINING)
_STATUSES = ("succeeded", "failed", "canceled", "expired", "dead")
_SENT = {"delivered": "webhooks_delivered", "given_up": "webhooks_given_up"}
# Older figures than this are no figures.
_FRESH_SECONDS = 120.0


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
        if time.time() - sight.time > _FRESH_SECONDS or not sight.database:
            return
        yield from _queues(sight)
        yield from _totals(sight.totals)
        yield m.WEBHOOKS_PENDING.value(sight.pending)


def _queues(sight: Sight) -> Iterator[Metric]:
    now = time.time()
    found = {queue: sight.depths.get(queue) for queue in _JOB_QUEUES}
    oldest = {
        queue: now if one is None or one.oldest is None else one.oldest / 1e6
        for queue, one in found.items()
    }
    yield m.DEPTH.family([((queue,), sight.waiting(queue)) for queue in found])
    yield m.AGE.family([((queue,), max(0.0, now - since)) for queue, since in oldest.items()])
    yield m.RUNNING.family([((q,), 0 if one is None else one.running) for q, one in found.items()])
    yield m.UNPUBLISHED.family(
        [((queue,), 0 if one is None else one.unpublished) for queue, one in found.items()]
    )
    yield m.DEAD.family([((queue,), sight.dead.get(queue, 0)) for queue in found])
    yield m.WORKERS.family([((queue,), sight.present(queue)) for queue in (*QUEUES, BEAT)])


def _totals(totals: Mapping[str, int]) -> Iterator[Metric]:
    def of(key: str) -> int:
        return totals.get(key, 0)

    yield m.JOBS.family(
        [((q, status), of(f"jobs_{status}_{q}")) for q in _JOB_QUEUES for status in _STATUSES]
    )
    yield m.ATTEMPTS.family([((queue,), of(f"job_attempts_{queue}")) for queue in _JOB_QUEUES])
    yield m.RETRIES.family([((queue,), of(f"job_retries_{queue}")) for queue in _JOB_QUEUES])
    for definition, key in ((m.DURATION, "job_micros"), (m.WAIT, "job_wait_micros")):
        yield definition.summary(
            [((q,), of(f"job_timed_{q}"), of(f"{key}_{q}") / 1e6) for q in _JOB_QUEUES]
        )
    yield m.LEASE_LOSSES.value(of("lease_losses"))
    yield m.WEBHOOKS.family([((result,), of(key)) for result, key in _SENT.items()])
