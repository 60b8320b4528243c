"""How the records are: what waits, who takes it to MLflow, and what is wrong."""

import fcntl
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.cli import ledger_sources as sources
from services.cli.ledger_sources import Ledger, span

if TYPE_CHECKING:
    from services.ledger.reading import Segment

# The shipper says every second how it is.
_STALE_SECONDS = 10.0
_MOST_FEEDBACK = 1000


def collect(ledger: Ledger) -> dict[str, Any]:
    """Return everything that `slipway ledger status` shows, as JSON values.

    Works without a gateway, a shipper, a database or an MLflow.
    """
    said = _said(ledger.places.status)
    held = _held(ledger.places.shipper_lock)
    age = max(0.0, time.time() - said["time"]) if said else None
    up = held and age is not None and age < _STALE_SECONDS
    found = {
        "recording": ledger.settings.ledger,
        "journal": _journal(ledger, said if up else None),
        "shipper": {
            "up": up,
            "hangs": held and not up and age is not None,
            "pid": said.get("pid") if held else None,
            "seconds_since_status": age,
            "errors": said.get("last_error", {}) if up else {},
        },
        "mlflow": {"state": _mlflow(ledger, said if up else None)},
        "traces": {
            "sent": said.get("traces_sent", 0),
            "thinned": said.get("traces_thinned", 0),
            "refused": said.get("traces_refused", 0),
            "share": said.get("trace_share", 1.0),
            "waiting": said.get("trace_backlog", 0),
        },
        "rows_stored": said.get("rows_stored", 0),
        "parts_stored": said.get("parts_stored", 0),
        "feedback": {
            "attached": said.get("feedback_attached", 0),
            "pending": said.get("feedback_pending", 0) if up else _feedback(ledger),
        },
        "dead_letters": dead_letters(ledger),
        "damaged_bytes": said.get("damaged_bytes", 0),
        "database": {
            "kind": "PostgreSQL" if ledger.settings.ledger_database_url else "SQLite",
            "state": _database(ledger),
        },
    }
    return {**found, "problems": problems(found)}


def problems(found: dict[str, Any]) -> list[str]:
    """Return why records wait that should not, a sentence each; empty: all is well."""
    said: list[str] = []
    journal, shipper = found["journal"], found["shipper"]
    if shipper["hangs"]:
        silent = span(shipper["seconds_since_status"])
        said.append(f"The shipper hangs: it has said nothing for {silent}.")
    elif not shipper["up"] and journal["pending"]:
        said.append("No shipper is running: slipway run starts one, slipway ledger ship is one.")
    if found["mlflow"]["state"] == "down" and (journal["pending"] or found["traces"]["waiting"]):
        said.append("MLflow does not answer.")
    for stage, error in shipper["errors"].items():
        since = span(max(0.0, time.time() - float(error.get("since") or 0)))
        said.append(f"{stage}, for {since}: {error.get('message')}")
    if found["database"]["state"] == "down":
        said.append("The ledger's database does not answer.")
    if journal["bytes"] >= journal["limit"]:
        said.append("The journal is full (LEDGER_MAX_BYTES).")
    letters = sum(found["dead_letters"].values())
    if letters:
        said.append(f"{letters:,} were refused for good: slipway ledger resend says why.")
    return said


def dead_letters(ledger: Ledger) -> dict[str, int]:
    """Return how many dead letters there are, by sink."""
    # The libraries that send take a second to import.
    if not any(ledger.places.dead.glob("*.jsonl")):
        return {}
    from services.ledger.shipping import deadletters

    return deadletters.counts(ledger.places)


def _said(path: Path) -> dict[str, Any]:
    """Return what the shipper said last, or nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    usable = isinstance(found, dict) and isinstance(found.get("time"), int | float)
    return found if usable else {}


def _held(path: Path) -> bool:
    """Whether a shipper lives: it holds its lock until its last breath."""
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _journal(ledger: Ledger, said: dict[str, Any] | None) -> dict[str, Any]:
    """Return what waits: by the shipper's word where it lives, else by counting."""
    from services.ledger import reading

    segments = reading.segments(ledger.places.journal)
    found: dict[str, Any] = {
        "bytes": sum(segment.size for segment in segments),
        "limit": ledger.settings.ledger_max_bytes,
        "files": len(segments),
    }
    if said is not None:
        return {
            **found,
            "pending": said.get("pending", 0),
            "oldest_seconds": said.get("oldest_seconds", 0.0),
            "unindexed_bytes": said.get("unindexed_bytes", 0),
        }
    return {**found, **_counted(ledger)}


def _counted(ledger: Ledger) -> dict[str, Any]:
    count, oldest, unindexed = 0, float("inf"), 0
    stored = _stored(ledger)
    for segment, indexed in ledger.segments():
        unindexed += max(0, segment.size - indexed)
        if (segment.writer, segment.number) not in stored:
            found, begun = _survey(segment)
            count, oldest = count + found, min(oldest, begun)
    jobs, first = _of_jobs(ledger)
    count, oldest = count + jobs, min(oldest, first)
    return {
        "pending": count,
        "oldest_seconds": max(0.0, time.time() - oldest) if count else 0.0,
        "unindexed_bytes": unindexed,
    }


def _of_jobs(ledger: Ledger) -> tuple[int, float]:
    """Return how many records of jobs are in no journal yet, and the time of the first."""
    if ledger.database is None:
        return 0, float("inf")
    from services.ledger.database import record_claims

    with ledger.database.reading() as connection:
        count, oldest = record_claims.waiting(connection)
    return count, float("inf") if oldest is None else oldest / 1e6


def _survey(segment: "Segment") -> tuple[int, float]:
    """Return how many records a segment has, and the time of the first one.

    The others are not looked into: there may be a million.
    """
    from services.ledger import reading

    first = next(sources.records(segment, 0), None)
    count = offset = 0
    with suppress(FileNotFoundError):
        while True:
            chunk = reading.read(segment, offset)
            count += len(chunk.records)
            if chunk.finished or chunk.next_offset == offset:
                break
            offset = chunk.next_offset
    return count, float("inf") if first is None else first.time


def _stored(ledger: Ledger) -> set[tuple[str, int]]:
    if ledger.database is None:
        return set()
    from services.ledger.database import index

    with ledger.database.reading() as connection:
        known = index.all_progress(connection)
    return {key for key, progress in known.items() if progress.stored}


def _mlflow(ledger: Ledger, said: dict[str, Any] | None) -> str:
    if said is not None and said.get("mlflow") in {"up", "down", "none"}:
        return str(said["mlflow"])
    from services.registry import client

    uri = ledger.settings.tracking_uri
    if not client.exists(uri):
        return "none"
    return "up" if client.reachable(uri) else "down"


def _feedback(ledger: Ledger) -> int:
    """Return how much feedback waits, up to `_MOST_FEEDBACK`."""
    if ledger.database is None:
        return 0
    from services.ledger.database import feedback

    with ledger.database.reading() as connection:
        return len(feedback.pending(connection, _MOST_FEEDBACK))


def _database(ledger: Ledger) -> str:
    if ledger.trouble is not None:
        return "down"
    return "none" if ledger.database is None else "up"
