"""Structured logs on standard output: one JSON object per line, request id included.

Records of the standard library (uvicorn's among them) run through the same processors, so the
whole process speaks one format. No value can forge a line: JSON is written in pure ASCII, and
control characters are escaped before the console format sees them.
"""

import asyncio
import json
import logging
import re
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

# C0 and C1 controls, DEL, and the two Unicode line separators.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Longest that a line of `Lines` waits for others, in seconds.
_DELAY = 0.02
# Written by us on purpose, over several lines, after the line itself.
_MULTILINE = frozenset({"exception", "stack"})


def configure_logging(
    level: str = "INFO",
    style: Literal["json", "console"] = "json",
    stream: TextIO | None = None,
) -> None:
    """Send every log record of this process to `stream` (standard output by default)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Not cached: a logger made at import must follow a later configuration.
        cache_logger_on_first_use=False,
    )
    global _lines
    handler = _Handler(stream or sys.stdout)
    _lines = Lines(handler) if style == "json" else None
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_tail(style)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Chatter of libraries about each file they open is of no use to an operator.
    for name in ("PIL", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLevelName(level)))
    # A line for each request that we make is one for each batch of records.
    for name in ("httpx", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Warns of every malformed form, with its bytes; the gateway counts and answers those.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)


class Lines:
    """JSON lines that are written many at once; the busiest ones, a line per request, go this way.

    A line costs a fifteenth of what it costs through the processors, and looks the same. It is
    written within `_DELAY` seconds, and before any line that was logged after it.
    """

    def __init__(self, handler: "_Handler") -> None:
        self._handler = handler
        self._waiting: list[str] = []
        self._lock = threading.Lock()
        handler.before = self.flush

    def add(self, entry: dict[str, Any]) -> None:
        """Take a line; called on the event loop."""
        encoded = orjson.dumps(entry, option=orjson.OPT_UTC_Z)
        # Other alphabets are escaped, as everywhere, so that no terminal acts upon them.
        text = encoded.decode() if encoded.isascii() else json.dumps(orjson.loads(encoded))
        with self._lock:
            first = not self._waiting
            self._waiting.append(text)
        if first:
            asyncio.get_running_loop().call_later(_DELAY, self._handler.flush)

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        if waiting:
            self._handler.stream.write("\n".join(waiting) + "\n")


class _Handler(logging.StreamHandler[TextIO]):
    """Writes the lines that came before a record first."""

    before: Callable[[], None] = staticmethod(lambda: None)

    def emit(self, record: logging.LogRecord) -> None:
        self._write_before(record)
        super().emit(record)

    def flush(self) -> None:
        with self.lock or nullcontext():
            self._write_before(None)
            super().flush()

    def _write_before(self, record: logging.LogRecord | None) -> None:
        try:
            self.before()
        except (OSError, ValueError):
            if record is not None:
                self.handleError(record)


_lines: Lines | None = None


def write_info(logger: str, event: str, request_id: str, fields: dict[str, Any]) -> None:
    """Log one event of a request, on the event loop, by the shortest way there is.

    Args:
        fields: JSON values.
    """
    if _lines is None:
        get_logger(logger).info(event, **fields)
        return
    rest = {"event": event, "request_id": request_id, "level": "info", "logger": logger}
    _lines.add({**fields, **rest, "timestamp": datetime.now(UTC)})


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _tail(style: Literal["json", "console"]) -> list[Processor]:
    if style == "console":
        return [
            _drop_uvicorn_colours,
            structlog.processors.format_exc_info,
            _escape_controls,
            structlog.dev.ConsoleRenderer(colors=False),
        ]
    return [
        _drop_uvicorn_colours,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(serializer=_dumps),
    ]


def _dumps(value: Any, **_: Any) -> str:
    # ensure_ascii also escapes C1 controls, line separators and lone surrogates.
    return json.dumps(value, default=str, ensure_ascii=True)


def _drop_uvicorn_colours(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)
    return event


def _escape_controls(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str) and key not in _MULTILINE:
            event[key] = _escaped(value)
        elif isinstance(value, list | tuple | dict):
            event[key] = _escaped(repr(value))
    return event


def _escaped(text: str) -> str:
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
