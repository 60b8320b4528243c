"""Service: what callers get. Rate, errors, latency by route, saturation, what was turned away."""

from monitoring.grafana.build.board import Board, Row
from monitoring.grafana.build.panels import at_a_glance, lines, spread, states
from monitoring.grafana.build.service_load import OBJECTIVE, SATURATION
from monitoring.grafana.build.style import Limits, Query
from monitoring.grafana.build.tables import Column, rows

# The objective: docs/monitoring.md and the alerts name the same.
AVAILABLE = 0.999
_HERE = 'instance=~"$instance"'
_ALL = f"http_requests_total{{{_HERE}}}"
_BAD = f'http_requests_total{{{_HERE}, status=~"5.."}}'
_SECONDS = f"http_request_duration_seconds_bucket{{{_HERE}}}"
_FIRING = 'alertstate="firing", severity=~"critical|warning"'
_QUIET = "No requests."


def share(bad: str, all_of: str, window: str) -> str:
    """Return the share of one counter in another; nothing where nothing was counted."""
    return f"(sum(rate({bad}[{window}])) or vector(0)) / (sum(rate({all_of}[{window}])) > 0)"


def _late(quantile: float, *labels: str, window: str = "$__rate_interval") -> str:
    by = ", ".join(("le", *labels))
    # A histogram that nothing was put in has NaN, which is not >= 0.
    return f"histogram_quantile({quantile}, sum by ({by}) (rate({_SECONDS}[{window}]))) >= 0"


_GLANCE = Row(
    "In a minute: is the service well?",
    [
        at_a_glance(
            "Gateways up",
            'avg(up{job="slipway", instance=~"$instance"}) or vector(0)',
            Limits(1, low=True),
            unit="percentunit",
            about="Share of the gateways that Prometheus reaches. Less than all: look which in "
            "'Gateways' below. It is 0 too where none is scraped: look at Prometheus' targets.",
            empty="Prometheus does not answer.",
        ),
        at_a_glance(
            "Availability (30 days)",
            '1 - max(job:http_requests_failed:ratio_rate30d{job="slipway"})',
            Limits(AVAILABLE, 0.9995, low=True),
            unit="percentunit",
            decimals=3,
            about="Share of requests of 30 days that did not end in a 5xx, of all gateways and "
            "without probes and scrapes. The objective is 99.9 %; red: it is missed. Requests "
            "that were refused with 4xx count as answered.",
            empty="No requests yet, or Prometheus has not loaded monitoring/prometheus/rules.",
        ),
        at_a_glance(
            "Errors (5 min)",
            share(_BAD, _ALL, "5m"),
            Limits(0.01, 0.001),
            unit="percentunit",
            decimals=2,
            about="Share of requests of the last five minutes that ended in a 5xx.",
            empty="No requests for 5 minutes.",
        ),
        at_a_glance(
            "Latency p99 (5 min)",
            _late(0.99, window="5m"),
            Limits(5, 1),
            unit="s",
            about="99 of 100 requests of the last five minutes were faster, all routes together.",
            empty="No requests for 5 minutes.",
        ),
        at_a_glance(
            "Turned away (5 min)",
            f"sum(rate(requests_rejected_total{{{_HERE}}}[5m])) or vector(0)",
            Limits(1, 0.001),
            unit="reqps",
            decimals=2,
            about="Requests refused before a model saw them: queues, connections or the ledger "
            "were full. More than a few: the service is too small for its load.",
            empty="0",
        ),
        at_a_glance(
            "Alerts firing",
            f"count(ALERTS{{{_FIRING}}}) or vector(0)",
            Limits(1),
            about="Alerts that fire now; each has a page in monitoring/runbooks.",
            empty="No answer from Prometheus.",
        ),
        rows(
            "What fires now",
            ["alertname", "severity", "model", "queue", "service"],
            [
                Column(
                    "for",
                    "max by (alertname, severity, model, queue, service) (time() - ALERTS_FOR_STATE"
                    f" and ignoring (alertstate) ALERTS{{{_FIRING}}})",
                    "s",
                )
            ],
            about="Each alert's page, monitoring/runbooks/<name>.md, says what to do.",
            empty="Nothing fires.",
            span=8,
            height=6,
        ),
        states(
            "Gateways",
            Query('up{job="slipway", instance=~"$instance"}', "{{instance}}"),
            words={"0": "down", "1": "up"},
            limits=Limits(1, low=True),
            about="Which gateway could be scraped, and when.",
            empty="No gateway is scraped.",
            span=8,
            height=6,
        ),
        states(
            "Parts of the system",
            Query(f"min by (service) (service_up{{{_HERE}}})", "{{service}}"),
            words={"0": "down", "1": "up"},
            limits=Limits(1, low=True),
            about="What the gateways think of the parts that they need. More in 'Records and "
            "dependencies'.",
            empty="The gateways watch no other parts (JOBS=false), or have just started.",
            span=8,
            height=6,
        ),
    ],
)

_REQUESTS = Row(
    "Requests",
    [
        lines(
            "Requests by route",
            Query(f"sum by (route) (rate({_ALL}[$__rate_interval]))", "{{route}}"),
            unit="reqps",
            stacked=True,
            about="Requests a second, by route template.",
            empty=_QUIET,
        ),
        lines(
            "Errors of ours (5xx) by route",
            Query(
                f"sum by (route, status) (rate({_BAD}[$__rate_interval]))",
                "{{route}} {{status}}",
            ),
            unit="reqps",
            bars=True,
            stacked=True,
            about="Answers with a status from 500 up. 503: full, or not ready; 504: too slow.",
            empty="No request ended in a 5xx.",
        ),
        lines(
            "Refusals (4xx) by route",
            Query(
                "sum by (route, status)"
                f' (rate(http_requests_total{{{_HERE}, status=~"4.."}}[$__rate_interval]))',
                "{{route}} {{status}}",
            ),
            unit="reqps",
            bars=True,
            stacked=True,
            about="Answers with a status from 400 to 499: the caller's mistakes. A sudden rise "
            "after a release of the caller's, or of a model's signature, is a broken client.",
            empty="No request ended in a 4xx.",
        ),
    ],
)

_LATENCY = Row(
    "Latency",
    [
        lines(
            "Percentiles, all routes",
            [
                Query(_late(0.5), "p50"),
                Query(_late(0.95), "p95"),
                Query(_late(0.99), "p99"),
            ],
            unit="s",
            about="Time from the request's head to the end of its answer, as estimated from the "
            "histogram's buckets.",
            empty=_QUIET,
        ),
        lines(
            "p99 by route",
            Query(_late(0.99, "route"), "{{route}}"),
            unit="s",
            about="The slowest hundredth of each route.",
            empty=_QUIET,
        ),
        spread(
            "All requests by duration",
            f"sum by (le) (increase({_SECONDS}[$__rate_interval]))",
            unit="s",
            about="How many requests took how long. Two bands are two kinds of request; a band "
            "that rises is a queue.",
            empty=_QUIET,
        ),
        rows(
            "Routes over the last 5 minutes",
            ["method", "route"],
            [
                Column("rate", f"sum by (method, route) (rate({_ALL}[5m]))", "reqps"),
                Column(
                    "5xx",
                    f"sum by (method, route) (rate({_BAD}[5m]))"
                    f" / sum by (method, route) (rate({_ALL}[5m]) > 0)",
                    "percentunit",
                    Limits(0.01, 0.001),
                ),
                Column("p50", _late(0.5, "method", "route", window="5m"), "s"),
                Column("p95", _late(0.95, "method", "route", window="5m"), "s"),
                Column("p99", _late(0.99, "method", "route", window="5m"), "s", Limits(5, 1)),
            ],
            about="Every route that was asked for: how often, and how long it took. No value "
            "below 5xx: none of that route's requests ended so.",
            empty=_QUIET,
        ),
    ],
)

BOARD = Board(
    uid="slipway-service",
    about="What callers get from the gateways: rate, errors, latency, saturation.",
    chosen=("instance",),
    rows=[_GLANCE, _REQUESTS, _LATENCY, SATURATION, OBJECTIVE],
)
