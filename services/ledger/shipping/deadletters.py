"""What MLflow refuses for good: put aside with the reason, to be looked at and sent again.

One file for each sink below `dead/`, a letter each line. Those of `traces` and `feedback` are
written here; `records` and `parquet` have writers of their own. A file that grows too large becomes
the former one and what was the former one goes: the records themselves are elsewhere still.
"""

import fcntl
import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from services.core.errors import InvalidInputError, NotFoundError, RegistryUnavailableError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.ledger.database import feedback, index
from services.ledger.database.opening import Database
from services.ledger.database.tables import PENDING, SENT
from services.ledger.places import Places
from services.ledger.records import Record, parse
from services.ledger.shipping import otlp, parquet
from services.ledger.shipping.destination import Destination, Key
from services.ledger.shipping.parts import write_records
from services.ledger.shipping.posting import Posting, key_of

TRACES, FEEDBACK, PARQUET, RECORDS = "traces", "feedback", "parquet", "records"
_log = get_logger(__name__)
_MOST_BYTES = 32 * 1024 * 1024
_LETTERS, _FORMER = ".jsonl", ".former.jsonl"


@dataclass(frozen=True, slots=True)
class Letter:
    """Something that was refused.

    Attributes:
        time: when, in seconds since 1970 (UTC).
        sink: what it was meant for: `traces`, `feedback`, `parquet` or `records`.
        error: why it was refused.
        record: the record as JSON; of a feedback, its columns; text where it is no JSON.
        line: all of that as it stands in the file.
        file: where it stands.
    """

    time: float
    sink: str
    error: str
    record: Any
    line: bytes
    file: Path


@dataclass(frozen=True, slots=True)
class ResendResult:
    """What became of the letters of a sink: so many went through, so many are left, and why."""

    sent: int
    left: int
    reason: str | None = None


def append(places: Places, sink: str, refused: Sequence[tuple[bytes, str]]) -> None:
    """Put aside what was refused: pairs of a record's JSON and the reason. On disk on return.

    Raises:
        OSError: the disk takes no more.
    """
    if not refused:
        return
    now = time.time()
    lines = b"".join(
        orjson.dumps(
            {"time": now, "sink": sink, "error": reason, "record": orjson.Fragment(record)},
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for record, reason in refused
    )
    path = places.dead / f"{sink}{_LETTERS}"
    with _locked(places):
        if path.exists() and path.stat().st_size + len(lines) > _MOST_BYTES:
            path.replace(places.dead / f"{sink}{_FORMER}")
        with path.open("ab") as file:
            if not _ends_whole(path):
                file.write(b"\n")
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
    _log.error("refused for good", sink=sink, letters=len(refused), error=refused[0][1])


def letters(places: Places, sink: str | None = None) -> list[Letter]:
    """Return the letters of a sink, or all; the oldest of each file first. Torn lines are left out.

    Raises:
        OSError: they cannot be read.
    """
    found = []
    for path in _files(places):
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:
            continue
        read = [letter for line in lines if (letter := _letter(line, path)) is not None]
        found += [letter for letter in read if sink in (None, letter.sink)]
    return found


def counts(places: Places) -> dict[str, int]:
    """Return how many letters there are, by sink."""
    found: dict[str, int] = {}
    for path in _files(places):
        sink = path.name.partition(".")[0].partition("-")[0]
        with suppress(FileNotFoundError):
            found[sink] = found.get(sink, 0) + path.read_bytes().count(b"\n")
    return found


def count(places: Places) -> int:
    """Return how many letters there are."""
    return sum(counts(places).values())


def remove(places: Places, gone: Collection[Letter]) -> None:
    """Take letters out of their files; each file is replaced whole, or removed when empty.

    Raises:
        OSError: the disk takes no more; some may be gone, none is torn.
    """
    with _locked(places):
        for path in {letter.file for letter in gone}:
            lines = {letter.line for letter in gone if letter.file == path}
            try:
                kept = [line for line in path.read_bytes().splitlines() if line not in lines]
            except FileNotFoundError:
                continue
            if not kept:
                path.unlink(missing_ok=True)
                continue
            draft = path.with_suffix(".new")
            with draft.open("wb") as file:
                file.write(b"\n".join(kept) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)


def resend(settings: Settings, database: Database, places: Places, sink: str) -> ResendResult:
    """Send what was refused again; what goes through is taken out of the file, the rest stays.

    Doing so twice, or dying in between, leaves nothing in MLflow twice. Feedback is not sent here:
    it is put back into the line of the shipper.

    Raises:
        NotFoundError: there is no such sink.
        RegistryUnavailableError: MLflow does not answer as it should; the rest stays.
        LedgerUnavailableError: the database does not.
        OSError: the disk takes no more.
    """
    found = letters(places, sink)
    if sink == TRACES:
        return _resend_traces(settings, database, places, found)
    if sink == PARQUET:
        return _resend_parquet(settings, database, places, found)
    if sink == FEEDBACK:
        with database.begin() as connection:
            for letter in found:
                feedback.set_state(connection, str(letter.record["id"]), PENDING)
        remove(places, found)
        return ResendResult(len(found), 0)
    if sink == RECORDS:
        reason = "They are no records: only a person can tell what they were."
        return ResendResult(0, len(found), reason if found else None)
    raise NotFoundError(
        "There is no such sink.", where="sink", expected=", ".join((TRACES, PARQUET, FEEDBACK))
    )


def _resend_traces(
    settings: Settings, database: Database, places: Places, found: Sequence[Letter]
) -> ResendResult:
    posting = Posting(settings, Destination(settings))
    sent, reason = 0, None
    readable: list[tuple[Key, str, Span, Letter]] = []
    for letter in found:
        try:
            record = _record(letter)
            span = otlp.span(record, tags=settings.ledger_trace_tags)
            readable.append((key_of(record), record.id, span, letter))
        except InvalidInputError as error:
            reason = error.message
    readable.sort(key=itemgetter(0))
    try:
        for key, group in groupby(readable, key=itemgetter(0)):
            some = list(group)
            refused = posting.send(database, key, [span for _, _, span, _ in some])
            reason = next(iter(refused.values()), reason)
            gone = [one for place, one in enumerate(some) if place not in refused]
            with database.begin() as connection:
                index.mark_traces(connection, [name for _, name, _, _ in gone], SENT)
                index.bump(connection, "traces_sent", len(gone))
            remove(places, [letter for *_, letter in gone])
            sent += len(gone)
    except httpx.TransportError as error:
        raise RegistryUnavailableError(
            "MLflow does not answer.", where="MLFLOW_TRACKING_URI", expected="a running server"
        ) from error
    finally:
        posting.close()
    return ResendResult(sent, len(found) - sent, reason)


def _resend_parquet(
    settings: Settings, database: Database, places: Places, found: Sequence[Letter]
) -> ResendResult:
    sent, reason = 0, None
    for _, group in groupby(found, key=lambda letter: letter.file):
        some = list(group)
        payloads = [orjson.dumps(letter.record) for letter in some]
        with TemporaryDirectory(prefix="slipway-resend-") as folder:
            unfit = {
                one.payload: one.error for one in write_records(payloads, Path(folder), "x").refused
            }
        try:
            fit = [payload for payload in payloads if payload not in unfit]
            parquet.resend(settings, database, places, fit)
        except InvalidInputError as error:
            reason = error.message
            continue
        reason = next(iter(unfit.values()), reason)
        remove(places, [one for one, each in zip(some, payloads, strict=True) if each not in unfit])
        sent += len(fit)
    return ResendResult(sent, len(found) - sent, reason)


def _record(letter: Letter) -> Record:
    return parse(orjson.dumps(letter.record))


def _files(places: Places) -> list[Path]:
    return sorted(places.dead.glob(f"*{_LETTERS}"), key=lambda path: path.name)


def _letter(line: bytes, path: Path) -> Letter | None:
    try:
        told = orjson.loads(line)
        return Letter(
            float(told["time"]), str(told["sink"]), str(told["error"]), told["record"], line, path
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def _ends_whole(path: Path) -> bool:
    """Return whether the last line was not torn."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


@contextmanager
def _locked(places: Places) -> Iterator[None]:
    """Let one process at a time write letters, and nobody while some are taken out."""
    places.dead.mkdir(parents=True, exist_ok=True)
    with (places.root / "dead.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
