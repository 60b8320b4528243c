"""Server-sent events of one job: what happens to it, until it has ended."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.core.errors import OverloadedError, SlipwayError
from services.gateway import job_words
from services.gateway.dependencies import get_engine, get_jobs
from services.gateway.scope import header

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job

EVENT_STREAM = "text/event-stream"
# Streams at once, of one gateway: each holds a connection for as long as its job takes.
MOST_STREAMS = 200
_RETRY_AFTER = 5.0
# Without a word for so long, a proxy takes a connection for dead.
HEARTBEAT = 15.0
# How soon a stream ends once a shutdown has begun.
_TICK = 1.0
# A larger document is sent without its output: `urls.get` has it.
_MOST_BYTES = 256 * 1024
_LAST_ID = b"last-event-id"
_EVENT_ID = re.compile(r"[0-9]{1,20}(-[0-9]{1,20})?")
# Milliseconds after which a client that lost its connection comes back.
_COME_BACK = 2000

_COMMENT = b": still here\n\n"
# What the job's own log calls otherwise; and what is told here, with the whole document.
_NAMES = {"start": "status"}
_TOLD_HERE = frozenset({"status", "completed"})
_PING = "ping"

Document = Callable[["Job"], Awaitable[dict[str, Any]]]


def wants_events(request: Request) -> bool:
    """Whether the caller asks for a stream of events in place of one answer."""
    accept = header(request.scope, b"accept")
    return accept is not None and EVENT_STREAM in accept.lower()


async def event_stream(request: Request, job: "Job", document: Document) -> Response:
    """Answer with what happens to a job: `status` as it is now, `progress` …, and `completed`.

    Events have the ids of the job's own log, so that `Last-Event-ID` goes on where a connection
    broke. The stream ends after `completed`, when the service ends, or when the caller leaves.

    Raises:
        OverloadedError: too many are open already.
    """
    streams = _streams(request)
    if len(streams) >= MOST_STREAMS:
        raise OverloadedError(
            "Too many event streams are open.",
            where="Accept",
            expected=f"at most {MOST_STREAMS} at once; without a stream, ask now and then",
            retry_after=_RETRY_AFTER,
        )
    mark = object()
    streams.add(mark)
    # Counted from here on, and given back whether the body is begun or not.
    return _Stream(_events(request, job, document), lambda: streams.discard(mark))


class _Stream(StreamingResponse):
    """A body of events, which gives its place back however it ends."""

    def __init__(self, events: AsyncIterator[bytes], done: Callable[[], None]) -> None:
        super().__init__(events, media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})
        self._events = events
        self._done = done

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it; ends when the caller leaves."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._done()
            close = getattr(self._events, "aclose", None)
            if close is not None:
                await close()


def _streams(request: Request) -> set[object]:
    state = request.app.state
    if not hasattr(state, "event_streams"):
        state.event_streams = set()
    found: set[object] = state.event_streams
    return found


async def _events(request: Request, job: "Job", document: Document) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % _COME_BACK
    try:
        async for piece in _told(request, job, document):
            yield piece
    except SlipwayError as error:
        # The head is long out, so that no status can say it. The client comes back.
        yield written("error", {"code": error.code, "message": error.message})


async def _told(request: Request, job: "Job", document: Document) -> AsyncIterator[bytes]:
    if not job_words.ended(job):
        yield written("status", await document(job))
        last = _last_id(request)
        async for piece in _until_ended(request, job, last):
            if piece is None:
                # The service ends; the client comes back and finds another.
                return
            yield piece
        job = await get_jobs(request).get(job.id)
    if job_words.ended(job):
        yield written("completed", await document(job))


async def _until_ended(
    request: Request, job: "Job", last: str | None
) -> AsyncIterator[bytes | None]:
    """Yield the job's events as they come, heartbeats between them, and None at a shutdown."""
    jobs, engine = get_jobs(request), get_engine(request)
    source = jobs.events(job.id, last)
    following: asyncio.Future[Any] | None = None
    silent = 0.0
    try:
        while True:
            following = following or asyncio.ensure_future(anext(source, None))
            done, _ = await asyncio.wait([following], timeout=_TICK)
            if engine.draining:
                yield None
                return
            if not done:
                silent += _TICK
                if silent >= HEARTBEAT:
                    silent = 0.0
                    yield _COMMENT
                continue
            event, following, silent = _taken(following), None, 0.0
            if event is None:
                return
            if event.event == _PING:
                yield _COMMENT
            elif event.event not in _TOLD_HERE:
                yield written(_NAMES.get(event.event, event.event), event.data, event.id)
    finally:
        if following is not None:
            following.cancel()
            await asyncio.wait([following])
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


def _taken(future: "asyncio.Future[Any]") -> Any:
    try:
        return future.result()
    except SlipwayError:
        # Neither Redis nor the database answers: the client comes back.
        return None


def written(event: str, data: Any, id: str | None = None) -> bytes:
    """Return one event as it is sent; `data` is JSON on one line."""
    body = orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)
    if len(body) > _MOST_BYTES and isinstance(data, dict) and "output" in data:
        body = orjson.dumps({**data, "output": None, "truncated": True})
    head = b"" if id is None else b"id: %b\n" % id.encode("ascii", "ignore")
    return b"%bevent: %b\ndata: %b\n\n" % (head, event.encode("ascii", "ignore"), body)


def _last_id(request: Request) -> str | None:
    """Return where a broken stream left off; what is no id of ours counts for nothing."""
    found = header(request.scope, _LAST_ID)
    return found if found is not None and _EVENT_ID.fullmatch(found) else None
