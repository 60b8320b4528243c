"""Logs: one JSON object a line, and no value that could forge one."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars

from services.core.logging import configure_logging, get_logger

EVIL = 'x\n{"event": "forged"}\r\x1b[2J\x85\u2028\x00\ud800'


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def lines(restored: None) -> Callable[[], list[dict[str, Any]]]:
    stream = io.StringIO()
    configure_logging("INFO", "json", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().split("\n") if line]


def test_one_object_a_line(lines: Callable[[], list[dict[str, Any]]]) -> None:
    with bound_contextvars(request_id="r-1"):
        get_logger("a").info("first", number=1)
    get_logger("a").debug("hidden")
    first, *rest = lines()
    assert not rest
    assert first["event"] == "first"
    assert first["number"] == 1
    assert first["request_id"] == "r-1"
    assert first["level"] == "info"
    assert first["timestamp"].endswith("Z")


def test_the_standard_library_goes_the_same_way(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    with bound_contextvars(request_id="r-2"):
        logging.getLogger("uvicorn.error").warning("hello %s", "you", extra={"color_message": "c"})
    (line,) = lines()
    assert line["event"] == "hello you"
    assert line["request_id"] == "r-2"
    assert "color_message" not in line


def test_values_cannot_forge_a_line(lines: Callable[[], list[dict[str, Any]]]) -> None:
    get_logger("a").info(EVIL, path=EVIL, nested={"k": [EVIL]})
    logging.getLogger("b").info("%s", EVIL)
    assert [line["event"] for line in lines()] == [EVIL, EVIL]


def test_a_traceback_is_one_line(lines: Callable[[], list[dict[str, Any]]]) -> None:
    try:
        raise ValueError(EVIL)
    except ValueError:
        get_logger("a").exception("broke")
    (line,) = lines()
    assert "ValueError" in line["exception"]


def test_warnings_are_logged(lines: Callable[[], list[dict[str, Any]]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("careful", stacklevel=1)
        logging.captureWarnings(False)
    (line,) = lines()
    assert "careful" in line["event"]


def test_the_console_format_is_as_safe(restored: None) -> None:
    stream = io.StringIO()
    configure_logging("INFO", "console", stream)
    get_logger("a").info(EVIL, path=EVIL, nested=[EVIL])
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert not set(text[:-1]) & set("\r\x1b\x85\u2028\x00\n")


def test_configuring_twice_does_not_double_lines(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    configure_logging("INFO", "json", io.StringIO())
    stream = io.StringIO()
    configure_logging("INFO", "json", stream)
    get_logger("a").info("once")
    assert stream.getvalue().count("\n") == 1
