"""What a batch has come to: its lines, from its chunks or from the finished output."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.core.errors import ConflictError, NotFoundError
from services.gateway import job_words, jobs_tables
from services.gateway.dependencies import get_jobs, get_settings
from services.gateway.jobs_received import disk_errors
from services.gateway.scope import header
from services.jobs.names import PREDICT_BATCH

if TYPE_CHECKING:
    from services.jobs.blobs import Blobs
    from services.ledger.database.job_chunks import Chunk
    from services.ledger.database.job_rows import Job
    from services.ledger.questions import Connection

JSONL, CSV, PARQUET = "jsonl", "csv", "parquet"
MEDIA = {
    JSONL: "application/x-ndjson",
    CSV: "text/csv; charset=utf-8",
    PARQUET: "application/vnd.apache.parquet",
}
_WRITERS: dict[str, Callable[[jobs_tables.Lines, BinaryIO], None]] = {
    CSV: jobs_tables.write_csv,
    PARQUET: jobs_tables.write_parquet,
}
# Tables that are written at once: each keeps a core busy.
_AT_ONCE = 2
_PIECE = 1024 * 1024


def form_of(request: Request, asked: str | None) -> str:
    """Return in which form results are wanted: `?format=`, else `Accept`, else lines of JSON."""
    if asked is not None:
        return asked
    accept = (header(request.scope, b"accept") or "").lower()
    if "text/csv" in accept:
        return CSV
    return PARQUET if "parquet" in accept else JSONL


async def results(request: Request, job: "Job", first: int | None, form: str) -> Response:
    """Answer with a batch's results, from item number `first` on.

    Raises:
        NotFoundError: it is no batch, or its results are gone.
        ConflictError: it has not ended, and the caller did not say that a part will do.
    """
    if job.task != PREDICT_BATCH:
        raise NotFoundError("Only a batch has results here.", where="id", expected="a batch job")
    if not job_words.ended(job) and first is None:
        raise ConflictError(
            "The job has not ended.",
            where="id",
            expected="?from=0 for what is there already, or another try later",
        )
    desk = get_jobs(request)
    chunks = await desk.read(lambda connection: _chunks(connection, job.id))
    lines = _lines(desk.blobs, job, chunks, first or 0)
    headers = {
        "X-Job-Status": job_words.status_of(job),
        "X-Items-Done": str(sum(chunk.items for chunk in chunks)),
        "Content-Disposition": f'attachment; filename="{job.id}.{form}"',
        "Cache-Control": "no-store",
    }
    if form == JSONL:
        pieces = await asyncio.to_thread(_begun, lines())
    else:
        pieces = _read(await _table(request, lines, form))
    return StreamingResponse(pieces, media_type=MEDIA[form], headers=headers)


def _chunks(connection: "Connection", id: str) -> "list[Chunk]":
    from services.ledger.database.job_chunks import every

    return every(connection, id)


def _lines(
    blobs: "Blobs", job: "Job", chunks: "list[Chunk]", first: int
) -> Callable[[], Iterator[bytes]]:
    """Return what yields the lines from number `first` on, in pieces or one by one."""
    result: Any = job.result
    whole = result.get("ref") if isinstance(result, dict) else None

    def lines() -> Iterator[bytes]:
        if whole is not None and first == 0:
            yield from blobs.stream(whole)
            return
        at = 0
        for chunk in chunks:
            if at >= first:
                yield from blobs.stream(chunk.ref)
            elif at + chunk.items > first:
                yield b"".join(blobs.get(chunk.ref).splitlines(keepends=True)[first - at :])
            at += chunk.items

    return lines


async def _table(request: Request, lines: Callable[[], Iterator[bytes]], form: str) -> BinaryIO:
    """Return a file without a name that has the results as a table."""
    state = request.app.state
    if not hasattr(state, "results_limiter"):
        # It belongs to the event loop.
        state.results_limiter = anyio.CapacityLimiter(_AT_ONCE)
    folder = get_settings(request).data_dir / "jobs" / "tmp"

    def write() -> BinaryIO:
        with disk_errors():
            folder.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - whoever reads it closes it
            try:
                _WRITERS[form](lambda: _split(lines()), file)
                file.seek(0)
            except BaseException:
                file.close()
                raise
            return file

    return await anyio.to_thread.run_sync(write, limiter=state.results_limiter)


def _split(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield whole lines."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Return the pieces once the first one is there: an error comes before the answer's head."""
    first = next(pieces, b"")
    return chain((first,), pieces)


def _read(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece
