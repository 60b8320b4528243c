"""One log line per request, written when its answer has been sent."""

import logging

from starlette.types import Scope

from services.core.logging import get_logger, write_info

_NAME = "slipway.access"
_MAX_METHOD = 20
_MAX_PATH = 200
# Asked every few seconds by machines; their failures are still worth a line.
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
_OK = 200

_logger = logging.getLogger(_NAME)
_log = get_logger(_NAME)


def log_request(scope: Scope, request_id: str, status: int, seconds: float, size: int) -> None:
    """Log method, path, status, duration and size; neither query nor headers nor bodies."""
    client = scope.get("client")
    fields = {
        "method": scope["method"][:_MAX_METHOD],
        "path": scope["path"][:_MAX_PATH],
        "status": status,
        "duration_ms": round(seconds * 1000, 2),
        "response_bytes": size,
        "client": client[0] if client else None,
    }
    if scope["path"] in _QUIET and status == _OK:
        if _logger.isEnabledFor(logging.DEBUG):
            _log.debug("request", **fields)
    elif _logger.isEnabledFor(logging.INFO):
        write_info(_NAME, "request", request_id, fields)
