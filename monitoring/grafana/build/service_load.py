"""Rows of the board Service: saturation, and what the objectives have left."""

from monitoring.grafana.build import links
from monitoring.grafana.build.board import Row
from monitoring.grafana.build.panels import lines, spread
from monitoring.grafana.build.style import Query

_HERE = 'instance=~"$instance"'


def _burn(kind: str, budget: float) -> list[Query]:
    """Return how many times too fast a budget is spent, by recorded ratios."""
    return [
        Query(f'max(job:{kind}:ratio_rate{window}{{job="slipway"}}) / {budget}', window)
        for window in ("5m", "1h", "6h", "3d")
    ]


SATURATION = Row(
    "Saturation",
    [
        lines(
            "Requests being answered",
            Query(f"sum by (instance) (active_connections{{{_HERE}}})", "{{instance}}"),
            about="Requests in the house now. It grows when answers take longer than requests "
            "come.",
            empty="No gateway is scraped.",
        ),
        lines(
            "Turned away by reason",
            Query(
                f"sum by (reason) (rate(requests_rejected_total{{{_HERE}}}[$__rate_interval]))",
                "{{reason}}",
            ),
            unit="reqps",
            bars=True,
            stacked=True,
            about="Requests refused before a model saw them, by the code of their error.",
            empty="Nothing was turned away.",
        ),
        lines(
            "Wait for a model (p99)",
            Query(
                "histogram_quantile(0.99, sum by (le, model) (rate("
                f'prediction_duration_seconds_bucket{{{_HERE}, phase="queue"}}'
                "[$__rate_interval]))) >= 0",
                "{{model}}",
            ),
            unit="s",
            link=links.board("slipway-models"),
            about="Time from a prediction's admission to its turn. It rises first when a model "
            "has more to do than it can.",
            empty="No predictions.",
        ),
        lines(
            "Memory of the gateway",
            [
                Query(
                    "max by (instance)"
                    f' (program_resident_memory_bytes{{program="gateway", {_HERE}}})',
                    "{{instance}} resident",
                ),
                Query(f"min(memory_limit_bytes{{{_HERE}}})", "limit"),
            ],
            unit="bytes",
            about="What the gateway's processes hold, models included, and what the machine or "
            "its control group allows. Beyond it the kernel kills.",
            empty="The system does not say.",
        ),
        lines(
            "Looks into the cache",
            Query(
                f"sum by (result) (rate(cache_requests_total{{{_HERE}}}[$__rate_interval]))",
                "{{result}}",
            ),
            unit="reqps",
            stacked=True,
            about="Answers from the cache (hit) and by a model (miss). Errors: the cache's Redis "
            "does not answer; predictions go on without it.",
            empty="No cache is configured (CACHE), or nobody asked.",
        ),
        lines(
            "Files received",
            Query(
                f"sum by (type, status) (rate(file_uploads_total{{{_HERE}}}[$__rate_interval]))",
                "{{type}} {{status}}",
            ),
            unit="reqps",
            stacked=True,
            about="Uploads by what their bytes are, and whether they were taken.",
            empty="No files were sent.",
        ),
    ],
)

_NO_RULES = "No requests yet, or Prometheus has not loaded monitoring/prometheus/rules."
OBJECTIVE = Row(
    "Objectives: 99.9 % of requests without a 5xx, 99 % of predictions in time",
    [
        lines(
            "Error budget: burnt, times as fast as allowed",
            _burn("http_requests_failed", 0.001),
            limit=14.4,
            about="1: errors come just as fast as the objective allows for 30 days. 14.4 for an "
            "hour spends two days' budget: an alert fires.",
            empty=_NO_RULES,
        ),
        lines(
            "Latency budget: burnt, times as fast as allowed",
            _burn("predict_requests_slow", 0.01),
            limit=14.4,
            about="The same of synchronous predictions that took longer than they may: one "
            "second, ten for /process-image.",
            empty="No predictions yet, or Prometheus has not loaded monitoring/prometheus/rules.",
        ),
        spread(
            "Size of uploads",
            f"sum by (le) (increase(file_upload_size_bytes_bucket{{{_HERE}}}[$__rate_interval]))",
            unit="bytes",
            about="How large the files were that came in.",
            empty="No files were sent.",
        ),
    ],
)
