"""Drift and quality: is what comes in still what was learned, and are the answers still right?

Every gateway reads these figures from the one database: the highest of them is the figure.
"""

from monitoring.grafana.build import links
from monitoring.grafana.build.board import Board, Row
from monitoring.grafana.build.panels import at_a_glance, bars, lines, states
from monitoring.grafana.build.style import Limits, Query
from monitoring.grafana.build.tables import Column, rows

_MODEL = 'model=~"$model", instance=~"$instance"'
_VERSION = f'version=~"$version", {_MODEL}'
_NAMED = "{{model}} {{version}}"
_OVERALL = f'prediction_drift_score{{feature="_overall", {_MODEL}}}'
# Of the measures that a model may have, those that are better when they are higher.
_GOOD = 'metric=~"accuracy|f1|ap|ap50|box_ap|box_ap50|r2"'
_NO_DRIFT = "No verdict yet: a version needs a baseline (from its training) and enough predictions."
_NO_FEEDBACK = "No feedback yet: POST /predictions/{id}/feedback with what would have been right."
_LINK = (links.version_page(), links.board("slipway-models"))


def _of(metric: str, *by: str, where: str = _VERSION) -> str:
    return f"max by ({', '.join(by)}) ({metric}{{{where}}})"


_PAIR = ("model", "version")
_LIVE = _of("prediction_quality", *_PAIR, "metric", where=f"{_GOOD}, {_VERSION}")
_REFERENCE = _of("prediction_quality_reference", *_PAIR, "metric", where=f"{_GOOD}, {_VERSION}")
_CHECKED = _of("prediction_drift_checked_timestamp_seconds", *_PAIR)


def _confidence(window: str) -> str:
    total = f"sum by (model, version) (rate(prediction_confidence_sum{{{_VERSION}}}[{window}]))"
    count = f"sum by (model, version) (rate(prediction_confidence_count{{{_VERSION}}}[{window}]))"
    return f"{total} / ({count} > 0)"


_GLANCE = Row(
    "In a minute: is a model going stale?",
    [
        at_a_glance(
            "Versions that drift",
            f"count({_of('prediction_drift_detected', *_PAIR)} > 0) or vector(0)",
            Limits(1),
            about="Versions in production whose predictions come from another world than the one "
            "they learned in.",
            empty="0",
        ),
        at_a_glance(
            "Highest drift score",
            f"max({_OVERALL})",
            Limits(1, 0.7),
            decimals=2,
            about="1 is where it alarms: the highest score of any feature of any model.",
            empty="No verdict yet.",
        ),
        at_a_glance(
            "Short of a verdict",
            f"count({_of('prediction_drift_samples_missing', *_PAIR)} > 0) or vector(0)",
            None,
            about="Versions in production that have too few predictions for a verdict on drift. "
            "No alarm: nobody asks them.",
            empty="0",
        ),
        at_a_glance(
            "Last look at drift",
            f"time() - min({_CHECKED})",
            Limits(7200, 3600),
            unit="s",
            about="Age of the oldest verdict. Old: upkeep (beat and its worker) does not run.",
            empty="No verdict yet.",
        ),
        at_a_glance(
            "Worst fall of quality",
            f"max({_REFERENCE} - {_LIVE})",
            Limits(0.1, 0.05),
            unit="percentunit",
            decimals=1,
            about="By how much the live figure of any version is below the one it was registered "
            "with: accuracy, F1, AP, R².",
            empty="No feedback yet.",
        ),
        at_a_glance(
            "Feedback (24 h)",
            f"sum(max by (model, version, kind) (increase(feedback_total{{{_VERSION}}}[24h])))",
            None,
            decimals=0,
            about="Judgements of predictions that came in: without them nothing is known of live "
            "quality.",
            empty="None.",
        ),
    ],
)

_DRIFT = Row(
    "Drift",
    [
        lines(
            "Drift score by model",
            Query(f"max by (model) ({_OVERALL})", "{{model}}"),
            limit=1,
            link=links.board("slipway-models"),
            about="Of the version in production. From 1 on it drifts: the distribution differs by "
            "more than chance and by enough to matter.",
            empty=_NO_DRIFT,
        ),
        bars(
            "Features that moved most",
            Query(
                "sort_desc(topk(20, max by (model, feature)"
                f' (prediction_drift_score{{feature!="_overall", {_MODEL}}})))',
                "{{model}} {{feature}}",
            ),
            Limits(1, 0.7),
            top=2,
            about="Which inputs it comes from. _prediction: the answers' distribution; "
            "_confidence: that of the scores. `GET /drift/status` says how each has changed.",
            empty=_NO_DRIFT,
            span=8,
        ),
        states(
            "Verdict",
            Query(_of("prediction_drift_detected", *_PAIR), _NAMED),
            words={"0": "as learned", "1": "drifts"},
            limits=Limits(1),
            about="What was found of each version in production, and when it changed.",
            empty=_NO_DRIFT,
            span=8,
        ),
        lines(
            "Answers and scores",
            Query(
                "max by (model, feature)"
                f' (prediction_drift_score{{feature=~"_prediction|_confidence", {_MODEL}}})',
                "{{model}} {{feature}}",
            ),
            limit=1,
            about="Drift of what the model says, not of what it is asked. It alone: the model is "
            "asked for other things than before.",
            empty=_NO_DRIFT,
        ),
        lines(
            "Predictions looked at",
            [
                Query(_of("prediction_drift_window_samples", *_PAIR), f"{_NAMED} looked at"),
                Query(_of("prediction_drift_samples_missing", *_PAIR), f"{_NAMED} missing"),
            ],
            about="Size of the newest window, and how many are missing for a verdict.",
            empty="No version in production has a baseline, or drift was not looked at yet.",
        ),
        lines(
            "Mean confidence",
            Query(_confidence("$__rate_interval"), _NAMED),
            unit="percentunit",
            top=1,
            link=_LINK,
            about="A fall without a new version often comes before a fall of quality.",
            empty="No predictions, or of models that give no scores.",
        ),
    ],
)

_QUALITY = Row(
    "Live quality, from feedback",
    [
        lines(
            "Live quality",
            Query(_LIVE, f"{_NAMED} {{{{metric}}}}"),
            unit="percentunit",
            top=1,
            link=_LINK,
            about="Accuracy, F1, AP or R² of the judged predictions in the sliding window.",
            empty=_NO_FEEDBACK,
        ),
        lines(
            "Below what it was registered with",
            Query(f"{_REFERENCE} - {_LIVE}", f"{_NAMED} {{{{metric}}}}"),
            unit="percentunit",
            limit=0.1,
            link=_LINK,
            about="Held-out figure at registration less the live one; nothing below 0 is drawn.",
            empty="No feedback yet, or the version was registered without figures.",
        ),
        lines(
            "Judged predictions in the window",
            Query(_of("prediction_quality_samples", *_PAIR), _NAMED),
            about="How many predictions the live figures rest on. Few: do not believe them yet.",
            empty=_NO_FEEDBACK,
        ),
        lines(
            "Feedback by kind",
            Query(
                "max by (model, version, kind)"
                f" (increase(feedback_total{{{_VERSION}}}[$__rate_interval]))",
                f"{_NAMED} {{{{kind}}}}",
            ),
            bars=True,
            stacked=True,
            about="What came in: plain feedback, and expectations (what would have been right).",
            empty=_NO_FEEDBACK,
        ),
        lines(
            "Errors of numbers (MAE, RMSE)",
            Query(
                _of(
                    "prediction_quality", *_PAIR, "metric", where=f'metric=~"mae|rmse", {_VERSION}'
                ),
                f"{_NAMED} {{{{metric}}}}",
            ),
            about="Of models that predict numbers; lower is better.",
            empty="No feedback on a model that predicts numbers.",
        ),
        lines(
            "Feedback that could not be judged",
            Query(
                "max by (model, reason)"
                f" (increase(feedback_uncounted_total{{{_VERSION}}}[$__rate_interval]))",
                "{{model}} {{reason}}",
            ),
            bars=True,
            stacked=True,
            about="The prediction had failed (no_answer), its answer is not on record (no_output), "
            "or there is no measure for its kind (no_measure).",
            empty="All feedback could be judged, or there is none.",
        ),
        rows(
            "Versions side by side",
            ["model", "version", "metric"],
            [
                Column("live", _LIVE, "percentunit", decimals=1),
                Column("at registration", _REFERENCE, "percentunit", decimals=1),
                Column("fall", f"{_REFERENCE} - {_LIVE}", "percentunit", Limits(0.1, 0.05), 1),
                Column(
                    "judged",
                    f"{_LIVE} * 0 + on (model, version) group_left ()"
                    f" {_of('prediction_quality_samples', *_PAIR)}",
                ),
            ],
            link={"version": links.version_of_row(), "model": links.model_of_row()},
            about="Each version and measure in a line; a click opens the version in MLflow. Old "
            "versions stay here as long as feedback on them is in the window.",
            empty=_NO_FEEDBACK,
        ),
    ],
)

BOARD = Board(
    uid="slipway-drift-quality",
    about="Whether models still fit the world: drift of inputs and answers, quality by feedback.",
    chosen=("instance", "model", "version"),
    rows=[_GLANCE, _DRIFT, _QUALITY],
)
