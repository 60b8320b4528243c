"""Models: each version's rate, phases, confidence, batches, memory, swaps."""

from monitoring.grafana.build.board import Board, Row
from monitoring.grafana.build.model_series import (
    INFERENCE,
    LINK,
    MODEL,
    NAMED,
    PAIR,
    QUIET,
    VERSION,
    mean,
    quantile,
    rate,
)
from monitoring.grafana.build.model_versions import SIDE_BY_SIDE
from monitoring.grafana.build.panels import at_a_glance, lines, spread, states
from monitoring.grafana.build.style import Limits, Query

_GLANCE = Row(
    "In a minute: are the models well?",
    [
        at_a_glance(
            "Versions in memory",
            f"count(count by (model, version) (model_loaded_info{{{VERSION}}})) or vector(0)",
            Limits(1, low=True),
            about="Versions that answer now. None: nothing is served.",
            empty="0",
        ),
        at_a_glance(
            "Failing to load",
            f"count(max by (model, version) (model_load_failing{{{VERSION}}}) > 0) or vector(0)",
            Limits(1),
            about="Versions that should be in memory and cannot be loaded; an older one goes on "
            "serving where there was one. `GET /models` says why.",
            empty="0",
        ),
        at_a_glance(
            "Failed predictions (5 min)",
            f'(sum(rate(predictions_total{{{VERSION}, status!="succeeded"}}[5m])) or vector(0))'
            f" / (sum(rate(predictions_total{{{VERSION}}}[5m])) > 0)",
            Limits(0.01, 0.001),
            unit="percentunit",
            decimals=2,
            about="Share of the predictions of five minutes that ended without an answer.",
            empty="No predictions for 5 minutes.",
        ),
        at_a_glance(
            "Inference p99 (5 min)",
            quantile(0.99, "prediction_duration_seconds", where=INFERENCE, window="5m"),
            Limits(5, 1),
            unit="s",
            about="99 of 100 runs of a model took less: the model alone, without waiting.",
            empty="No predictions for 5 minutes.",
        ),
        at_a_glance(
            "Failed swaps (1 h)",
            f'sum(increase(model_swaps_total{{{MODEL}, result="failed"}}[1h])) or vector(0)',
            Limits(0.5),
            decimals=0,
            about="Promotions that could not be followed: the old version goes on serving.",
            empty="0",
        ),
        at_a_glance(
            "Registry",
            'min(registry_up{instance=~"$instance"})',
            Limits(1, low=True),
            words={"0": "down", "1": "up"},
            about="Whether the gateways reach MLflow's registry. Down: what is in memory goes on "
            "serving, promotions are not seen.",
            empty="No registry is configured.",
        ),
    ],
)

_TRAFFIC = Row(
    "Predictions",
    [
        lines(
            "Predictions by version",
            Query(rate("predictions_total", *PAIR), NAMED),
            unit="reqps",
            stacked=True,
            link=LINK,
            about="Predictions a second; a click leads to the version in MLflow.",
            empty=QUIET,
        ),
        lines(
            "By how they ended",
            Query(rate("predictions_total", "status"), "{{status}}"),
            unit="reqps",
            stacked=True,
            about="succeeded, or how a prediction ended without an answer.",
            empty=QUIET,
        ),
        lines(
            "Errors by model and kind",
            Query(
                rate("prediction_errors_total", "model", "type", where=MODEL),
                "{{model}} {{type}}",
            ),
            unit="reqps",
            bars=True,
            stacked=True,
            about="By the code of the error (docs/errors.md). Of one model only: look at its "
            "version; of all: look at the service.",
            empty="No prediction failed.",
        ),
    ],
)

_PHASES = Row(
    "Phases: queue, preprocess, inference, postprocess",
    [
        lines(
            "Mean time by phase",
            Query(mean("prediction_duration_seconds", "phase"), "{{phase}}"),
            unit="s",
            stacked=True,
            about="Where a prediction's time goes. queue grows: more requests than the model can "
            "take; inference grows: the model or the machine is slower.",
            empty=QUIET,
        ),
        lines(
            "p95 by phase",
            Query(quantile(0.95, "prediction_duration_seconds", "phase"), "{{phase}}"),
            unit="s",
            about="The slowest twentieth, phase by phase, of all that is chosen above.",
            empty=QUIET,
        ),
        lines(
            "Inference p95 by version",
            Query(quantile(0.95, "prediction_duration_seconds", *PAIR, where=INFERENCE), NAMED),
            unit="s",
            link=LINK,
            about="How long each version computes.",
            empty=QUIET,
        ),
    ],
)

_ANSWERS = Row(
    "Confidence and batches",
    [
        lines(
            "Mean confidence by version",
            Query(mean("prediction_confidence", *PAIR), NAMED),
            unit="percentunit",
            top=1,
            link=LINK,
            about="The scores that a model gave to its answers. A fall without a new version: the "
            "world has changed; see 'Drift and quality'.",
            empty="No predictions, or of models that give no scores.",
        ),
        spread(
            "Confidence",
            f"sum by (le) (increase(prediction_confidence_bucket{{{VERSION}}}[$__rate_interval]))",
            unit="percentunit",
            about="How many answers had which score.",
            empty="No predictions, or of models that give no scores.",
        ),
        lines(
            "Rows predicted together (mean)",
            Query(mean("prediction_batch_size", *PAIR), NAMED),
            link=LINK,
            about="Rows that a model got in one call. 1: requests come one after the other, or "
            "batching is off; near the limit: the model is busy.",
            empty=QUIET,
        ),
    ],
)

_MEMORY = Row(
    "In memory",
    [
        lines(
            "Memory by version",
            [
                Query(f"max by (model, version) (model_memory_bytes{{{VERSION}}})", NAMED),
                Query('max(model_memory_budget_bytes{instance=~"$instance"})', "MEMORY_BUDGET"),
            ],
            unit="bytes",
            link=LINK,
            about="What each version took when it was loaded. MEMORY_BUDGET is drawn where it is "
            "set; above it, versions that nobody asks for are put out.",
            empty="Nothing is in memory.",
        ),
        lines(
            "Swaps and evictions",
            [
                Query(
                    "sum by (model, result)"
                    f" (increase(model_swaps_total{{{MODEL}}}[$__rate_interval]))",
                    "{{model}} {{result}}",
                ),
                Query(
                    "sum by (model)"
                    f" (increase(model_evictions_total{{{MODEL}}}[$__rate_interval]))",
                    "{{model}} put out",
                ),
            ],
            bars=True,
            about="Changes of the version in production that were followed or failed, and versions "
            "put out to stay within MEMORY_BUDGET.",
            empty="Neither happened.",
        ),
        lines(
            "Time to load and warm (mean)",
            Query(mean("model_load_duration_seconds", "model", where=MODEL), "{{model}}"),
            unit="s",
            bars=True,
            about="How long a version took from the disk to its first answer.",
            empty="Nothing was loaded in the range.",
        ),
        states(
            "Versions in memory, and when",
            Query(
                f"sum by (model, version) (model_loaded_info{{{VERSION}}})"
                f" or 0 * max by (model, version) (model_load_failing{{{VERSION}}})",
                NAMED,
            ),
            words={"0": "failing to load"},
            limits=Limits(1, low=True),
            about="Which version was in memory when, and in how many gateways.",
            empty="Nothing is in memory.",
            span=24,
        ),
    ],
)

BOARD = Board(
    uid="slipway-models",
    about="Each model and version: traffic, time, answers, memory, swaps.",
    chosen=("instance", "model", "version"),
    rows=[_GLANCE, _TRAFFIC, _PHASES, _ANSWERS, _MEMORY, SIDE_BY_SIDE],
)
