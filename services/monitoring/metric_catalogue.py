"""Writes `docs/metrics.md` from the metrics' own definitions.

`python -m services.monitoring.metric_catalogue > docs/metrics.md`
"""

import sys
from collections.abc import Iterator

from services.core.metering import definitions, machine_collector
from services.core.metering.definition import Definition
from services.jobs import job_metrics
from services.ledger import ledger_metrics
from services.monitoring import drift_collector, quality_metrics, service_collector
from services.monitoring.seed_metrics import SEEDS

_SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Requests", ("http_", "active_", "requests_", "file_")),
    ("Predictions", ("predictions_", "prediction_", "cache_")),
    ("Models", ("model_", "registry_")),
    ("Drift", ("prediction_drift_",)),
    ("Feedback and live quality", ("prediction_quality", "feedback_")),
    ("Jobs and workers", ("job_", "jobs_", "workers", "webhook_")),
    ("Records", ("ledger_",)),
    ("Processes, machine, parts", ("",)),
)
_UNITS = {
    "_timestamp_seconds": "seconds since 1970",
    "_seconds_total": "seconds",
    "_seconds": "seconds",
    "_bytes_total": "bytes",
    "_bytes": "bytes",
    "_info": "1",
    "_total": "number",
}
_ACROSS = {
    "livesum": "the sum",
    "livemax": "the highest",
    "livemin": "the lowest",
}
_HEAD = """\
# Metrics

This page is generated from the code:
`python -m services.monitoring.metric_catalogue > docs/metrics.md`.

`GET /metrics` is Prometheus' text format; `GET /metrics/summary` says the same in a few numbers, as
JSON: rates, p50, p95 and p99, errors, per route and model, queues, quality, memory. Names have no
prefix, units are base units, and no label holds what a caller made up: routes are templates, models
and versions are those that exist. A histogram has `_bucket`, `_sum` and `_count`, a summary
`_sum` and `_count`.
"""


def every() -> list[Definition]:
    """Return every metric that Slipway exposes, by name. Nothing is started or asked for it."""
    found = (
        *definitions.DEFINITIONS,
        *machine_collector.DEFINITIONS,
        *job_metrics.DEFINITIONS,
        *ledger_metrics.DEFINITIONS,
        *drift_collector.DEFINITIONS,
        *quality_metrics.DEFINITIONS,
        *service_collector.DEFINITIONS,
    )
    return sorted(found, key=lambda one: one.name)


def render() -> str:
    """Return the page."""
    sections = "".join(f"\n## {title}\n\n{_table(found)}" for title, found in _sections())
    return f"{_HEAD}{sections}\n{_buckets()}\n{_gauges()}\n{_PROCESSES}\n{_seeds()}"


def _sections() -> Iterator[tuple[str, list[Definition]]]:
    left = every()
    chosen: dict[str, list[Definition]] = {title: [] for title, _ in _SECTIONS}
    for one in left:
        # The longest beginning wins.
        fitting = [(len(b), title) for title, some in _SECTIONS for b in some if _begins(one, b)]
        chosen[max(fitting)[1]].append(one)
    yield from chosen.items()


def _begins(one: Definition, beginning: str) -> bool:
    return one.name.startswith(beginning)


def _table(found: list[Definition]) -> str:
    lines = [
        "| name | type | labels | unit | what it says | where it comes from |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(
            f"| `{one.name}` | {one.type} | {labels} | {unit(one)} | {one.text} | {one.source} |"
        )
    return "\n".join(lines) + "\n"


def unit(one: Definition) -> str:
    """Return the unit of a metric, as its definition or else its name says."""
    found = next((said for ending, said in _UNITS.items() if one.name.endswith(ending)), "")
    return one.unit or found


def _buckets() -> str:
    rows = "".join(
        f"| `{one.name}` | {', '.join(f'{bound:g}' for bound in one.buckets)} |\n"
        for one in every()
        if one.buckets
    )
    return f"{_BUCKETS}\n{rows}"


def _gauges() -> str:
    rows = "".join(
        f"| `{one.name}` | {_ACROSS[one.across]}{', zeros left out' if one.sparse else ''} |\n"
        for one in definitions.DEFINITIONS
        if one.type == "gauge"
    )
    return f"## Gauges of several processes\n\n{_GAUGES}\n{rows}"


def _seeds() -> str:
    rows = "".join(
        f"| {seed.document} | {seed.said} | {', '.join(f'`{name}`' for name in seed.ours)} |"
        f" {seed.note} |\n"
        for seed in SEEDS
    )
    return f"## Names from the documents Slipway is built from\n\n{_SEEDS}\n{rows}"


_BUCKETS = """\
## Buckets

Upper bounds, in the metric's unit; the last is infinite.

| histogram | bounds |
|---|---|"""
_GAUGES = """\
Counters and histograms of all processes are added up, those of processes that have ended included.
Of gauges only living processes count:

| gauge | across processes |
|---|---|"""
_PROCESSES = """\
## Several processes

`slipway run` gives its gateway, shipper, beat and workers one folder (`PROMETHEUS_MULTIPROC_DIR`,
in `DATA_DIR/metrics` unless it is set), in which each keeps its metrics in files of its own, and
the gateway's `/metrics` shows all of them together, at most a second old. Whoever starts processes
otherwise may set the variable to a folder of that machine: not one that several machines or
containers share, for they know nothing of each other's processes. Where several gateways have one
folder **scrape one of them**: each shows the sum. The folder takes some 1.5 MB a process, reserved
beforehand, for a disk that becomes full would end a process in the middle of a write; what
processes that have ended had counted is kept in one small file.

Without the variable a process keeps its metrics in memory; a gateway alone then also exposes
`process_*` and `python_*` of the client library, which are about one process and are left out
where there are several: `program_*` has what matters of them, by kind of process.

A worker on a machine or in a container without a gateway exposes its own metrics, with those of its
children, at `WORKER_METRICS_PORT` (off by default) of `HOST`, as `GET /metrics`; jobs, records,
drift, quality and `service_up` are exposed by gateways only. A process that is killed loses what
it had counted in its last second.

GPUs are asked through `nvidia-ml-py`; that part has not been tried on a machine with a GPU yet.
"""
_SEEDS = """\
Every metric that they name, and those that they describe without a name.

| document | what it names | here | note |
|---|---|---|---|"""


if __name__ == "__main__":
    sys.stdout.write(render())
