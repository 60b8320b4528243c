"""Requests that go on while `benchmarks.alerts` breaks things: few, for all have to share cores."""

import threading
from collections.abc import Callable
from contextlib import suppress

import httpx
import numpy as np
from numpy.typing import NDArray

from benchmarks.alerts_stand import FAULTY, TABULAR, Stand
from services import families
from services.families.base import TrainableFamily

_TABULAR_SECONDS, _FAULTY_SECONDS, _JOB_SECONDS = 0.25, 0.5, 5.0
# Standard deviations of a column: what happens when a source of data changes its unit.
_SHIFT = 2.0
_SHIFTED_COLUMNS = 5
# One in so many requests is broken while errors are injected.
_BROKEN = 2


class Load:
    """Asks two models and submits jobs, each in a thread, until it is stopped.

    Attributes:
        shifted: rows come from a distribution that the model was not trained on.
        broken: every other row is one that the faulty model cannot take.
        jobs: predictions for workers are submitted.
        failed: requests that were answered with 5xx.
    """

    def __init__(self, stand: Stand) -> None:
        self.shifted = self.broken = self.jobs = False
        self.failed = 0
        self._client = httpx.Client(base_url=stand.gateway.base_url, trust_env=False, timeout=30)
        self._rows = _rows()
        self._ending = threading.Event()
        parts = (
            (self._tabular, _TABULAR_SECONDS), (self._faulty, _FAULTY_SECONDS),
            (self._job, _JOB_SECONDS),
        )  # fmt: skip
        self._threads = [
            threading.Thread(target=self._go, args=part, daemon=True) for part in parts
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End it."""
        self._ending.set()
        for thread in self._threads:
            thread.join(60)
        self._client.close()

    def _go(self, part: Callable[[int], None], seconds: float) -> None:
        number = 0
        while not self._ending.wait(seconds):
            number += 1
            with suppress(httpx.TransportError):
                part(number)

    def _tabular(self, number: int) -> None:
        row = self._rows[number % len(self._rows)].copy()
        if self.shifted:
            row[:_SHIFTED_COLUMNS] += _SHIFT * self._rows.std(axis=0)[:_SHIFTED_COLUMNS]
        # No two alike: nothing comes from the cache.
        self._post(f"/models/{TABULAR}/predict", {"features": (row + number * 1e-9).tolist()})

    def _faulty(self, number: int) -> None:
        value = 5000.0 if self.broken and number % _BROKEN == 0 else 1.0
        body = {"inputs": [{"a": value, "b": 1 / number}]}
        self._post(f"/models/{FAULTY}/predict", body)

    def _job(self, number: int) -> None:
        if self.jobs:
            row = self._rows[number % len(self._rows)]
            body = {"model": TABULAR, "input": {"features": row.tolist()}}
            self._post("/predictions", body)

    def _post(self, path: str, body: object) -> None:
        if self._client.post(path, json=body).is_server_error:
            self.failed += 1


def _rows() -> NDArray[np.float64]:
    """Return rows like those that the demo model was trained on, in no order."""
    family = families.discover()["tabular"]
    assert isinstance(family, TrainableFamily)
    split = family.read(None, family.defaults())
    return np.asarray(split.held_out.rows, dtype=np.float64)
