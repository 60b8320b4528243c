"""Processes that are killed without warning, and started again."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.core.settings import Settings
from tests.support.mlflow_server import MlflowServer
from tests.support.patience import PATIENCE
from tests.support.server import ROOT


class Program:
    """One of Slipway's processes, `python -m <module>`; its log is kept over its lives.

    Attributes:
        starts: how often it was started.
    """

    def __init__(self, module: str, folder: Path, settings: Mapping[str, Any]) -> None:
        self._module = module
        self._folder = folder
        self._log = folder / f"{module}.log"
        known = {name.upper() for name in Settings.model_fields}
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in known and not name.startswith("MLFLOW_")
        }
        values = {name: str(value) for name, value in settings.items()}
        self._environment = {**inherited, **values, "PYTHONPATH": str(ROOT)}
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def pid(self) -> int:
        """Of the life it has now."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, **settings: Any) -> None:
        """Start it; settings named here count for this life."""
        assert not self.alive
        values = {name: str(value) for name, value in settings.items()}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                # Its own folder, so that no .env of the machine is read.
                cwd=self._folder,
                env={**self._environment, **values},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1

    def kill(self) -> None:
        """Give it no time for anything."""
        assert self._process is not None
        assert self._process.poll() is None, f"{self._module} ended by itself: {self.tail()}"
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)

    def stop(self) -> int | None:
        """Ask it to end; return its exit code, None where it never ran."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                return self._process.wait(PATIENCE)
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait(PATIENCE)

    def log(self) -> str:
        """Return what it said in all its lives."""
        if not self._log.exists():
            return ""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def tail(self) -> str:
        """Return the end of what it said."""
        return "\n".join(self.log().splitlines()[-40:])


class Mlflow(MlflowServer):
    """An MLflow server that may be killed."""

    def kill(self) -> None:
        """End it and its workers in the middle of what they do."""
        process, self._process = self._process, None
        assert process is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
