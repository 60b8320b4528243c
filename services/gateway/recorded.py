"""Predictions on record, and feedback, as the API shows them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from services.core.settings import Settings
from services.ledger.links import run_link, trace_link
from services.ledger.lookup import Found
from services.ledger.records import Record

if TYPE_CHECKING:
    from services.ledger.database.feedback import Feedback

# By `state` of the database's table: PENDING, SENDING, ATTACHED, FAILED.
_STATES = ("pending", "pending", "attached", "failed")


def summary(record: Record) -> dict[str, Any]:
    """Return what a list shows of a prediction."""
    error = record.error
    return {
        "id": record.id,
        "status": record.status,
        "model": record.model,
        "version": record.version,
        "stage": record.stage,
        "mode": record.mode,
        "caller": record.caller,
        "request_id": record.request_id,
        "created_at": moment(record.time),
        # Whoever waits for the answer is served at once; a job may wait.
        "started_at": moment(record.time),
        "completed_at": moment(record.time + record.seconds),
        "error": None
        if error is None
        else {name: error.get(name) for name in ("code", "message", "where", "expected", "phase")},
        "cached": record.cached,
        "confidence": record.confidence,
        "metrics": {"predict_time": record.seconds, "phases": record.phases},
        "links": {"self": f"/predictions/{record.id}"},
    }


def whole(found: Found, settings: Settings) -> dict[str, Any]:
    """Return everything on record about a prediction."""
    record, ui = found.record, ui_address(settings)
    trace = run = None
    if ui is not None and found.run is not None:
        run = run_link(ui, *found.run)
        trace = trace_link(ui, found.run[0], record.id) if found.traced else None
    shown = summary(record)
    shown["links"] |= {"mlflow_trace": trace, "mlflow_run": run}
    return shown | {
        "input": record.input,
        "input_digest": record.input_digest,
        "input_ref": record.input_ref,
        "output": record.output,
        "output_ref": record.output_ref,
        "logs": "",
        "feedback": None if found.feedback is None else [entry(one) for one in found.feedback],
    }


def entry(feedback: "Feedback") -> dict[str, Any]:
    """Return what somebody said."""
    return {
        "id": feedback.id,
        "name": feedback.name,
        "kind": feedback.kind,
        "value": feedback.value,
        "rationale": feedback.rationale,
        "source": feedback.source,
        "created_at": moment(feedback.created / 1e6),
        "state": _STATES[feedback.state],
    }


def moment(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def ui_address(settings: Settings) -> str | None:
    """Return where people find MLflow's pages, without credentials; None where there are none."""
    address = settings.mlflow_ui_url or settings.tracking_uri
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        return None
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
