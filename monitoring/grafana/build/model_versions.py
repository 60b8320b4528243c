"""Row of the board Models: versions side by side."""

from monitoring.grafana.build import links
from monitoring.grafana.build.board import Row
from monitoring.grafana.build.model_series import (
    INFERENCE,
    PAIR,
    QUIET,
    VERSION,
    mean,
    quantile,
    rate,
)
from monitoring.grafana.build.style import Limits
from monitoring.grafana.build.tables import Column, rows

SIDE_BY_SIDE = Row(
    "Versions side by side (last 15 minutes)",
    [
        rows(
            "Versions",
            ["model", "version"],
            [
                Column("rate", rate("predictions_total", *PAIR, window="15m"), "reqps"),
                Column(
                    "failed",
                    rate(
                        "predictions_total",
                        *PAIR,
                        where=f'status!="succeeded", {VERSION}',
                        window="15m",
                    )
                    + f" / ({rate('predictions_total', *PAIR, window='15m')} > 0)",
                    "percentunit",
                    Limits(0.01, 0.001),
                ),
                Column(
                    "inference p50",
                    quantile(
                        0.5, "prediction_duration_seconds", *PAIR, where=INFERENCE, window="15m"
                    ),
                    "s",
                ),
                Column(
                    "inference p99",
                    quantile(
                        0.99, "prediction_duration_seconds", *PAIR, where=INFERENCE, window="15m"
                    ),
                    "s",
                ),
                Column(
                    "confidence",
                    mean("prediction_confidence", *PAIR, window="15m"),
                    "percentunit",
                    decimals=1,
                ),
                Column("batch", mean("prediction_batch_size", *PAIR, window="15m"), decimals=1),
                Column(
                    "memory", f"max by (model, version) (model_memory_bytes{{{VERSION}}})", "bytes"
                ),
                Column(
                    "accuracy",
                    'max by (model, version) (prediction_quality{metric=~"accuracy|ap50|r2", '
                    f"{VERSION}}})",
                    "percentunit",
                    decimals=1,
                ),
            ],
            link={"version": links.version_of_row(), "model": links.model_of_row()},
            about="What the versions do now, each in a line; a click on one opens it in MLflow. "
            "Accuracy (AP50 of masks, R² of numbers) is there once there is feedback, "
            "failed only where something failed.",
            empty=QUIET,
        ),
        rows(
            "What is in memory, and the runs that made it",
            ["model", "version", "run_id"],
            [
                Column(
                    "gateways", f"count by (model, version, run_id) (model_run_info{{{VERSION}}})"
                ),
            ],
            link={
                "version": links.version_of_row(),
                "model": links.model_of_row(),
                "run_id": links.run_of_row(),
            },
            about="A click on run_id opens the training run in MLflow: its data, parameters and "
            "figures. Models that come from no registry have none.",
            empty="No version in memory comes from a registry.",
        ),
    ],
)
