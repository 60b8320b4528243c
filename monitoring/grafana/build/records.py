"""Records and dependencies: the ledger, MLflow, Redis, the database, and the machine below them."""

from monitoring.grafana.build import links
from monitoring.grafana.build.board import Board, Row
from monitoring.grafana.build.panels import at_a_glance, lines, states
from monitoring.grafana.build.records_machine import FREE, HERE, MACHINE, UNSAID, each
from monitoring.grafana.build.style import Limits, Query

_NO_LEDGER = "The shipper has not said anything yet (LEDGER=false, or it has just started)."
_WORDS = {"0": "down", "1": "up"}


def _rate(metric: str, *by: str) -> str:
    return f"max by ({', '.join(('instance', *by))}) (rate({metric}{{{HERE}}}[$__rate_interval]))"


def _as_part(metric: str, part: str) -> str:
    lowest = f"min by (instance) ({metric}{{{HERE}}})"
    return f'label_replace({lowest}, "part", "{part}", "", "")'


_USED = f"1 - memory_available_bytes{{{HERE}}} / memory_limit_bytes{{{HERE}}}"

_GLANCE = Row(
    "In a minute: is every record safe, and all that we need there?",
    [
        at_a_glance(
            "Parts that are down",
            f"count(min by (service) (service_up{{{HERE}}}) == 0) or vector(0)",
            Limits(1),
            about="MLflow, Redis, the database, workers, beat: which, is in 'Parts' below.",
            empty="0",
        ),
        at_a_glance(
            "Shipper",
            f"min(ledger_shipper_up{{{HERE}}})",
            Limits(1, low=True),
            words=_WORDS,
            about="Down: predictions are recorded on the disk, and do not reach MLflow.",
            empty="No gateway is scraped.",
        ),
        at_a_glance(
            "Oldest record on its way",
            f"max(ledger_oldest_seconds{{{HERE}}})",
            Limits(3600, 900),
            unit="s",
            about="Age of the oldest prediction that is not in MLflow. Minutes are usual "
            "(LEDGER_SEGMENT_SECONDS), an hour is not.",
            empty=_NO_LEDGER,
        ),
        at_a_glance(
            "Records lost (24 h)",
            f"sum(increase(ledger_dropped_total{{{HERE}}}[24h])) or vector(0)",
            Limits(0.5),
            decimals=0,
            about="Predictions answered without a record, for want of room "
            "(LEDGER_WHEN_FULL=drop). There should never be one.",
            empty="0",
        ),
        at_a_glance(
            "Disk free",
            f"min({FREE})",
            Limits(0.05, 0.15, low=True),
            unit="percentunit",
            decimals=0,
            about="Of the disk that DATA_DIR lies on: records, jobs, models.",
            empty=UNSAID,
        ),
        at_a_glance(
            "Memory used",
            f"max({_USED})",
            Limits(0.9, 0.8),
            unit="percentunit",
            decimals=0,
            about="Of what the machine or its control group allows; beyond it the kernel kills.",
            empty=UNSAID,
        ),
    ],
)

_LEDGER = Row(
    "Ledger",
    [
        lines(
            "Records on their way to MLflow",
            Query(each("ledger_pending"), "{{instance}}"),
            about="Predictions in the journal that are not in MLflow yet. Growing without end: "
            "MLflow is away, or too slow.",
            empty=_NO_LEDGER,
        ),
        lines(
            "Journal",
            [
                Query(each("ledger_pending_bytes"), "{{instance}} journal"),
                Query(each("ledger_unindexed_bytes"), "{{instance}} not looked up yet"),
                Query(f"min(ledger_bytes_limit{{{HERE}}})", "LEDGER_MAX_BYTES"),
            ],
            unit="bytes",
            about="Bytes of records on this disk. At LEDGER_MAX_BYTES predictions are refused, or "
            "records dropped (LEDGER_WHEN_FULL).",
            empty="LEDGER=false.",
        ),
        lines(
            "Stored as Parquet",
            Query(_rate("ledger_rows_stored_total"), "{{instance}}"),
            unit="ops",
            link=links.serving_runs(),
            about="Predictions a second that arrive in MLflow. They come in parts, once a "
            "LEDGER_SEGMENT_SECONDS.",
            empty=_NO_LEDGER,
        ),
        lines(
            "Traces by what became of them",
            Query(_rate("ledger_traces_total", "result"), "{{instance}} {{result}}"),
            unit="ops",
            stacked=True,
            link=links.serving_runs(),
            about="thinned: left out on purpose, for MLflow did not keep up. refused: MLflow would "
            "not have them.",
            empty=_NO_LEDGER,
        ),
        lines(
            "Traces that wait, and the share that is sent",
            [
                Query(each("ledger_trace_backlog"), "{{instance}} wait"),
                Query(f"100 * {each('ledger_trace_share')}", "{{instance}} % sent"),
            ],
            about="Ordinary predictions get a trace as far as MLflow keeps up; errors, feedback "
            "and low confidence always.",
            empty=_NO_LEDGER,
        ),
        lines(
            "Feedback, dead letters, damage",
            [
                Query(each("ledger_feedback_pending"), "{{instance}} feedback on its way"),
                Query(_rate("ledger_feedback_attached_total"), "{{instance}} feedback attached /s"),
                Query(each("ledger_dead_letters"), "{{instance}} dead letters"),
                Query(
                    f"max by (instance) (increase(ledger_damaged_bytes_total{{{HERE}}}[1h]))",
                    "{{instance}} damaged bytes (1 h)",
                ),
            ],
            about="Dead letters: what MLflow refused for good; `slipway ledger resend`. Damaged "
            "bytes belong to no record: a disk that fails, or a power cut.",
            empty=_NO_LEDGER,
        ),
    ],
)

_PARTS = Row(
    "Parts",
    [
        states(
            "Parts",
            Query(f"min by (service) (service_up{{{HERE}}})", "{{service}}"),
            words=_WORDS,
            limits=Limits(1, low=True),
            about="As the gateways see them; down for one is down.",
            empty="The gateways watch no other parts (JOBS=false), or have just started.",
        ),
        states(
            "MLflow: registry, and where records go",
            Query(
                " or ".join(
                    _as_part(metric, part)
                    for part, metric in (
                        ("registry", "registry_up"),
                        ("records", "ledger_mlflow_up"),
                        ("shipper", "ledger_shipper_up"),
                    )
                ),
                "{{instance}} {{part}}",
            ),
            words=_WORDS,
            limits=Limits(1, low=True),
            about="Whether gateways reach the registry, the shipper reaches MLflow, and there is "
            "a shipper.",
            empty="No MLflow is configured.",
        ),
    ],
)

BOARD = Board(
    uid="slipway-records",
    about="The ledger and its way to MLflow, the parts that Slipway needs, programs and machine.",
    chosen=("instance",),
    rows=[_GLANCE, _LEDGER, _PARTS, MACHINE],
)
