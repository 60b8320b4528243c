"""Where the programs of `slipway run` listen and log."""

import socket
from contextlib import closing
from pathlib import Path

from services.core.errors import ConfigurationError
from services.core.settings import Settings

LOCAL = "127.0.0.1"


def log_of(settings: Settings, name: str) -> Path:
    """Return the file that takes what a program says."""
    return settings.data_dir.absolute() / "logs" / f"{name}.log"


def check_free(port: int, setting: str, expected: str = "a free port") -> None:
    """Make sure that a program can listen on a port.

    Raises:
        ConfigurationError: it cannot; the error names the setting.
    """
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCAL, port))
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} cannot be opened: {error.strerror}.", where=setting, expected=expected
            ) from error
