"""`slipway ledger show`: everything about one prediction."""

import json
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from services.cli import ledger_sources as sources
from services.cli.console import UsageError, out
from services.cli.ledger_sources import AsJson, Ledger
from services.core.errors import NotFoundError

if TYPE_CHECKING:
    from services.ledger.database.feedback import Feedback
    from services.ledger.records import Record

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Longer values than a screen has room for; --json shows all.
_MOST = 2000


def show(
    prediction_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="What X-Prediction-ID of the answer says.", show_default=False
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show one prediction: input, output, times, error, feedback, and where MLflow has it."""
    wanted = prediction_id.strip().lower()
    if not _UUID.fullmatch(wanted):
        raise UsageError("That is no id of a prediction.", where="ID", expected="a UUID")
    with sources.opened() as ledger:
        sources.warn(ledger)
        record, state, feedback = _find(ledger, wanted)
        found = _as_json(record, state, feedback) | {"mlflow": _links(ledger, record, state)}
    if as_json:
        out.print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in _rows(found).items():
        table.add_row(name, sources.plain(value))
    out.print(table)


def _find(ledger: Ledger, wanted: str) -> "tuple[Record, str, list[Feedback]]":
    from services.ledger.lookup import find_in_journal

    feedback: list[Feedback] = []
    if ledger.database is not None:
        from services.ledger.database import feedback as stored
        from services.ledger.database import job_records, lookup
        from services.ledger.records import parse

        with ledger.database.reading() as connection:
            feedback = stored.of_prediction(connection, wanted)
            # First: what leaves it is indexed before.
            waiting = job_records.get(connection, wanted)
            row = lookup.find(connection, wanted)
        if row is not None:
            return sources.of_row(row), _STATES[row.trace_state], feedback
        if waiting is not None:
            return parse(waiting), _STATES[0], feedback
    record = find_in_journal(ledger.places, wanted)
    if record is None:
        raise NotFoundError(
            "No such prediction is on record here.",
            where="ID",
            expected="one of the last LEDGER_KEEP_DAYS; older ones are in MLflow's Parquet",
        )
    return record, _STATES[0], feedback


# By `trace_state` of the database.
_STATES = ("not sent yet", "sent", "thinned out", "refused")


def _links(ledger: Ledger, record: "Record", state: str) -> dict[str, str]:
    """Return the pages of MLflow that show a prediction, as far as there are any."""
    ui = ledger.settings.mlflow_ui_url or ledger.settings.tracking_uri
    if ledger.database is None or not ui.startswith(("http://", "https://")):
        return {}
    from services.ledger.database import runs
    from services.ledger.links import run_link, trace_link
    from services.ledger.records import day

    with ledger.database.reading() as connection:
        found = runs.serving_run(connection, record.model, record.version, day(record))
    if found is None:
        return {}
    experiment, run = found
    pages = {"serving run": run_link(ui, experiment, run)}
    if state == _STATES[1]:
        pages["trace"] = trace_link(ui, experiment, record.id)
    return pages


def _as_json(record: "Record", state: str, feedback: "list[Feedback]") -> dict[str, Any]:
    from services.ledger.records import trace_id

    return {
        **json.loads(record.raw),
        "trace": {"id": trace_id(record.id), "state": state},
        "feedback": [
            {
                "name": one.name,
                "kind": one.kind,
                "value": one.value,
                "rationale": one.rationale,
                "source": one.source,
            }
            for one in feedback
        ],
    }


def _rows(found: dict[str, Any]) -> dict[str, str]:
    phases, error = found.get("phases") or {}, found.get("error")
    rows = {
        "id": found["id"],
        "time (UTC)": sources.clock(found["time"]),
        "model": f"{found['model']} v{found['version']} ({found.get('stage') or 'no stage'})",
        "mode": found["mode"],
        "caller": found.get("caller") or "–",
        "request": found.get("request_id") or "–",
        "status": found["status"] + (", from the cache" if found.get("cached") else ""),
        "took": _milliseconds(found["seconds"]),
    }
    rows |= {f"  {name}": _milliseconds(seconds) for name, seconds in phases.items()}
    if found.get("confidence") is not None:
        rows["confidence"] = f"{found['confidence']:.4f}"
    if error:
        where = f" (at {error['where']})" if error.get("where") else ""
        rows["error"] = f"{error.get('code')}: {error.get('message')}{where}"
    rows["input"] = _value(found, "input")
    rows["output"] = _value(found, "output")
    rows["trace"] = f"{found['trace']['id']}, {found['trace']['state']}"
    rows |= {f"  {name}": page for name, page in found["mlflow"].items()}
    for number, one in enumerate(found["feedback"], 1):
        note = f" – {one['rationale']}" if one["rationale"] else ""
        by = f" by {one['source']}" if one["source"] else ""
        rows[f"feedback {number}"] = f"{one['name']} = {_text(one['value'])}{by}{note}"
    return rows


def _value(found: dict[str, Any], name: str) -> str:
    """Return an input or output: itself, else where it lies, else its digest."""
    parts = [] if found.get(name) is None else [_text(found[name])]
    if found.get(f"{name}_ref"):
        parts.append(f"in DATA_DIR/ledger/blobs: {found[f'{name}_ref']}")
    elif found.get(f"{name}_digest"):
        parts.append(found[f"{name}_digest"])
    return ", ".join(parts) or "–"


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST else f"{text[:_MOST]} … (--json shows all)"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"
