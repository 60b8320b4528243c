"""Fetch one file over HTTP, going on where an earlier attempt (or an earlier process) stopped.

Only bytes of one and the same version are ever joined: a range is asked for with If-Range, and an
answer of another size, tag or position starts the file again.
"""

import re
import shutil
from dataclasses import dataclass
from typing import Protocol

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter

from services.cli.weights.errors import DownloadError, TransferInterrupted
from services.cli.weights.part import Part, Remote
from services.core.errors import NotFoundError

_SPARE = 64 << 20  # bytes of disk left free for everybody else
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_WORTH_RETRYING = frozenset({408, 425, 429, 500, 502, 503, 504})


class Watcher(Protocol):
    """Is told how a download gets on. Sizes are bytes of the whole file."""

    def started(self, done: int, size: int | None) -> None:
        """An attempt begins to receive, `done` bytes being there already."""

    def advanced(self, done: int) -> None:
        """More bytes are there."""

    def noticed(self, message: str) -> None:
        """Something a person should know happened."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on trying: attempts in a row that bring no byte, and seconds between them."""

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 30.0


def open_client(timeout: float = 30.0) -> httpx.Client:
    """Return a client for downloads; `timeout` is seconds without a single byte."""
    return httpx.Client(
        follow_redirects=True,
        timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
        headers={"User-Agent": "slipway", "Accept-Encoding": "identity"},
    )


def fetch(url: str, part: Part, client: httpx.Client, watcher: Watcher, patience: Patience) -> None:
    """Bring `part` to completion.

    Raises:
        NotFoundError: the address holds no such file.
        DownloadError: refused, or still incomplete when patience ran out; the part is kept.
    """
    if part.resumable(url) and part.complete():
        return
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type((httpx.TransportError, TransferInterrupted)),
            stop=_FruitlessFor(part, patience.attempts),
            wait=wait_exponential_jitter(
                multiplier=patience.first_wait,
                max=patience.longest_wait,
                jitter=patience.first_wait / 2,
            ),
            before_sleep=lambda state: watcher.noticed(_excuse(state)),
            reraise=True,
        ):
            with attempt:
                _attempt(url, part, client, watcher)
    except (httpx.TransportError, TransferInterrupted) as error:
        kept = f" The {part.size():,} bytes so far are kept." if part.size() else ""
        raise DownloadError(
            f"The download did not complete: {_reason(error)}.{kept}",
            where=url,
            expected="a working connection; run the same command again to go on",
        ) from error
    except httpx.InvalidURL as error:
        raise DownloadError("This is not a valid address.", where=url) from error


class _FruitlessFor:
    """Stops after so many attempts in a row that brought nothing; any progress starts the count."""

    def __init__(self, part: Part, attempts: int) -> None:
        self._part = part
        self._attempts = attempts
        self._size = part.size()
        self._fruitless = 0

    def __call__(self, state: RetryCallState) -> bool:
        size = self._part.size()
        self._fruitless = 0 if size > self._size else self._fruitless + 1
        self._size = size
        return self._fruitless >= self._attempts


def _attempt(url: str, part: Part, client: httpx.Client, watcher: Watcher) -> None:
    known, headers = part.resumable(url), {}
    if known:
        headers = {"Range": f"bytes={part.size()}-", "If-Range": known.validator or ""}
    with client.stream("GET", url, headers=headers) as answer:
        _refuse(answer, url)
        if answer.status_code == httpx.codes.PARTIAL_CONTENT:
            _check_continues(answer, part, known)
        elif answer.status_code == httpx.codes.OK:
            if known:
                watcher.noticed("The file on the server is not the one begun: starting again.")
            part.begin(_describe(answer, url))
        else:  # 416: what is here does not fit the file any more
            part.discard()
            raise TransferInterrupted("the part no longer fits the file on the server")
        _receive(answer, part, watcher)


def _refuse(answer: httpx.Response, url: str) -> None:
    status = answer.status_code
    if status in _WORTH_RETRYING:
        raise TransferInterrupted(f"the server answered {status}")
    if status in {404, 410}:
        raise NotFoundError(
            f"The server has no such file (it answered {status}).",
            where=url,
            expected="an address of the file; --url names a mirror, --file a local copy",
        )
    if status not in {200, 206, 416}:
        raise DownloadError(f"The server refused the download (it answered {status}).", where=url)
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError("The server sends the file in another encoding.", where=url)


def _describe(answer: httpx.Response, url: str) -> Remote:
    length = answer.headers.get("Content-Length", "")
    return Remote(
        url=url,
        size=int(length) if length.isdigit() else None,
        etag=answer.headers.get("ETag"),
        modified=answer.headers.get("Last-Modified"),
    )


def _check_continues(answer: httpx.Response, part: Part, known: Remote | None) -> None:
    """Make sure that the bytes to come follow those at hand, in the same version of the file."""
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    etag = answer.headers.get("ETag")
    fits = (
        known is not None
        and found is not None
        and int(found[1]) == part.size()
        and (found[2] == "*" or known.size is None or int(found[2]) == known.size)
        and (etag is None or known.etag is None or etag == known.etag)
    )
    if not fits:
        part.discard()
        raise TransferInterrupted("the server answered with another part of another file")


def _receive(answer: httpx.Response, part: Part, watcher: Watcher) -> None:
    known = part.remote()
    size, done = (known.size if known else None), part.size()
    _check_disk(part, done, size)
    watcher.started(done, size)
    with part.append() as handle:
        # As it arrives: a chunk size would hold bytes back, and lose them when the line breaks.
        for chunk in answer.iter_raw():
            handle.write(chunk)
            done += len(chunk)
            watcher.advanced(done)
    if size is not None and done > size:
        part.discard()
        raise TransferInterrupted(f"{done:,} bytes came where {size:,} were announced")
    if size is not None and done < size:
        raise TransferInterrupted(f"the connection ended after {done:,} of {size:,} bytes")


def _check_disk(part: Part, done: int, size: int | None) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if size is not None and free < size - done + _SPARE:
        raise DownloadError(
            f"The file needs {size - done:,} more bytes and only {free:,} are free on the disk.",
            where="--dest",
            expected="a folder on a disk with enough room",
        )


def _reason(error: BaseException | None) -> str:
    if isinstance(error, httpx.ConnectError):
        return "no connection to the server"
    if isinstance(error, httpx.TimeoutException):
        return "the server was silent for too long"
    if isinstance(error, httpx.UnsupportedProtocol):
        return "the address is neither http nor https"
    return str(error) or type(error).__name__


def _excuse(state: RetryCallState) -> str:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0.0
    return f"{_reason(error)}; trying again in {wait:.0f} s"
