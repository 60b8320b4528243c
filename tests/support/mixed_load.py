"""A little of everything that Slipway is asked for, so that every metric has something to say."""

import random
import time
from typing import Any

import httpx

from tests.support.pictures import blobs_as
from tests.support.whole_system import CLASSIFIER, FRAGILE, REGRESSOR, WholeSystem

_FEATURES = 20
_ENDED = {"succeeded", "failed", "canceled", "expired"}
# Enough of the promoted version's predictions for a verdict on drift.
_ROUNDS = 8
_BODY = "application/x-ndjson"


class MixedLoad:
    """Predictions that succeed and fail, files, jobs, batches, trainings, feedback, a promotion.

    One request after the other: it is to be seen, not to be heavy.

    Attributes:
        answers: how many there were of each status.
        jobs: ids of those that were accepted.
    """

    def __init__(self, system: WholeSystem, seed: int = 0) -> None:
        self._system = system
        self._client = system.client
        self._chance = random.Random(seed)
        self._rounds, self._training = 0, ""
        self.answers: dict[int, int] = {}
        self.jobs: list[str] = []

    def run(self, seconds: float) -> None:
        """Start jobs and a training, promote what it makes, and ask for so long after that."""
        self.once()
        while not self._ended(self._training):
            self.round()
        self.promote("2")
        end = time.monotonic() + seconds
        while time.monotonic() < end or self._rounds < _ROUNDS:
            self.round()
        self.wait_jobs()

    def once(self) -> None:
        """Begin what takes long."""
        rows = "\n".join(str(self._row()) for _ in range(20)).encode()
        batch = self._ask("POST", f"/jobs/batch?model={CLASSIFIER}", content=rows, kind=_BODY)
        training = {"family": "tabular", "n_estimators": 5}
        self._training = self._ask("POST", "/train", json=training).json()["id"]
        self.jobs += [batch.json()["id"], self._training]
        self._ask("POST", "/process-image", files={"file": ("a.png", blobs_as("PNG"))})

    def promote(self, version: str) -> None:
        """Put another version into production, and wait until it answers."""
        move = {"model_name": CLASSIFIER, "version": version, "stage": "production"}
        self._ask("POST", "/models/transition", json=move)
        self._rounds = 0
        body = {"features": self._row()}
        self._system.until(
            lambda: self._ask("POST", "/predict", json=body).json()["model_version"] == version
        )

    def round(self) -> None:
        """Ask for one of each."""
        self._rounds += 1
        for _ in range(5):
            self._predict()
        # Many rows, for a verdict on drift.
        rows = [self._row() for _ in range(8)]
        for _ in range(3):
            self._ask("POST", f"/models/{CLASSIFIER}/predict", json={"inputs": rows})
        # The same again, for the cache.
        same = {"features": [0.5] * _FEATURES}
        for _ in range(2):
            self._ask("POST", "/predict", json=same)
        self._ask("POST", "/predict", json={"features": "none"})
        self._ask("POST", "/models/nobody/predict", json={"inputs": [1]})
        self._ask("POST", "/process-image", files={"file": ("a.png", b"no picture")})
        self.fail()
        price = self._ask("POST", f"/models/{REGRESSOR}/predict", json=self._lengths(1.0))
        self._judge(price, expected=2.0)
        job = {"model": CLASSIFIER, "input": {"features": self._row()}}
        self.jobs.append(self._ask("POST", "/predictions", json=job).json()["id"])
        broken = {"model": FRAGILE, "input": self._lengths(5000.0)}
        self.jobs.append(self._ask("POST", "/predictions", json=broken).json()["id"])

    def fail(self) -> None:
        """Ask for what makes a model fail: a 500."""
        failed = self._ask("POST", f"/models/{FRAGILE}/predict", json=self._lengths(5000.0))
        self._judge(failed, expected=1.0)

    def wait_jobs(self) -> None:
        """Wait until every job has ended, however."""
        waiting = list(self.jobs)

        def all_ended() -> bool:
            while waiting and self._ended(waiting[-1]):
                waiting.pop()
            return not waiting

        self._system.until(all_ended)

    def _ended(self, job: str) -> bool:
        return self._client.get(f"/jobs/{job}").json()["status"] in _ENDED

    def _predict(self) -> None:
        answer = self._ask("POST", "/predict", json={"features": self._row()})
        self._judge(answer, value=True, expected=answer.json()["prediction"])

    def _judge(self, answer: httpx.Response, **body: Any) -> None:
        """Say what would have been right; the record may take a moment to be found."""
        path = f"/predictions/{answer.headers['X-Prediction-ID']}/feedback"
        self._ask("POST", path, json=body)

    def _row(self) -> list[float]:
        return [round(self._chance.gauss(0, 1), 4) for _ in range(_FEATURES)]

    def _lengths(self, length: float) -> dict[str, Any]:
        return {"inputs": [{"length": length, "width": 1.0, "weight": self._chance.random()}]}

    def _ask(
        self, method: str, path: str, *, kind: str | None = None, **body: Any
    ) -> httpx.Response:
        headers = {} if kind is None else {"Content-Type": kind}
        answer = self._client.request(method, path, headers=headers, **body)
        self.answers[answer.status_code] = self.answers.get(answer.status_code, 0) + 1
        return answer
