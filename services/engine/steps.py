"""The three steps of one prediction, each where it fits, and the cache between them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from services.engine.admission import Ticket
from services.engine.cache import Answers, answer_key, encoded
from services.engine.loaded import Loaded
from services.engine.messages import Timings
from services.engine.profile import payload_size
from services.engine.watch import Watch
from services.engine.workers import Done, Workers, as_failure, run_here

T = TypeVar("T")


@dataclass(slots=True)
class _Ready:
    """A payload that `infer` may be called with."""

    prepared: Any
    rows: int
    key: bytes | None


@dataclass(slots=True)
class _Finished:
    """An output, and how the cache keeps it."""

    output: Any
    confidences: list[float]
    kept: bytes | None


@dataclass(slots=True)
class Answer:
    """What a prediction ended with; `confidences` are the scores in it, for the metrics."""

    output: Any
    confidences: list[float]
    timings: Timings
    cached: bool = False


class Steps:
    """One prediction on one version."""

    def __init__(
        self,
        loaded: Loaded,
        ticket: Ticket,
        deadline: float,
        watch: Watch,
        payload: Any,
        pool: Workers,
        answers: Answers,
    ) -> None:
        self._loaded = loaded
        self._model = loaded.model
        self._ticket = ticket
        self._deadline = deadline
        self._watch = watch
        self._pool = pool
        self._answers = answers
        self._kept = answers.used_for(loaded.is_light)
        profile = loaded.profile
        self._quick = profile is not None and profile.quick_around(payload_size(payload))
        self._payload = payload
        self._before: Done[_Ready] | None = None

    async def run_light(self) -> Answer | None:
        """Run all steps within two turns of the event loop; None: that cannot be, use `run`.

        The same as `run`, without what only slower work needs: this is the way of most requests.

        Raises:
            SlipwayError, WorkFailed: as `run`.
        """
        light, model = self._loaded.light, self._model
        if light is None or not light.on or not self._quick:
            return None
        try:
            self._watch.phase = "preprocess"
            begun = monotonic()
            prepared = model.preprocess(self._payload)
            rows = max(1, model.rows(prepared))
            before = monotonic() - begun
            self._before = Done(_Ready(prepared, rows, None), 0.0, before)
            if rows > 1:
                self._loaded.lane.admission.weigh(self._ticket, rows)
            self._watch.phase = "inference"
            raw = await light.infer(prepared, rows) if light.takes(rows) else None
            if raw is None:
                return None
            self._watch.phase = "postprocess"
            begun = monotonic()
            output = model.postprocess(prepared, raw.value)
            scores = model.confidences(output)
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise
        except BaseException as error:
            raise as_failure(error) from error
        return Answer(output, scores, Timings(raw.waited, before, raw.ran, monotonic() - begun))

    async def run(self) -> Answer:
        """Return the output and the seconds each step took."""
        quick = self._quick
        self._watch.phase = "preprocess"
        before = self._before or await self._around(self._prepare, quick=quick, urgent=False)
        ready = before.value
        self._loaded.lane.admission.weigh(self._ticket, ready.rows)
        found = None if ready.key is None else await self._answers.get(ready.key)
        if found is not None:
            timings = Timings(before.waited, before.ran, 0.0, 0.0)
            scores = run_here(lambda: self._model.confidences(found)).value
            return Answer(found, scores, timings, cached=True)
        self._watch.phase = "inference"
        raw = await self._infer(ready)
        self._watch.phase = "postprocess"
        after = await self._around(
            # Urgent: what is nearly done goes before what only begins.
            lambda: self._finish(ready, raw.value),
            quick=quick,
            urgent=True,
        )
        answer = after.value
        if ready.key is not None and answer.kept is not None:
            self._answers.put(ready.key, answer.kept)
        queue = before.waited + raw.waited + after.waited
        timings = Timings(queue, before.ran, raw.ran, after.ran)
        return Answer(answer.output, answer.confidences, timings)

    def _prepare(self) -> _Ready:
        prepared = self._model.preprocess(self._payload)
        rows = max(1, self._model.rows(prepared))
        key = self._model.cache_key(prepared) if self._kept else None
        if key is not None:
            key = answer_key(self._loaded.family, self._loaded.ref, key)
        return _Ready(prepared, rows, key)

    def _finish(self, ready: _Ready, raw: Any) -> _Finished:
        output = self._model.postprocess(ready.prepared, raw)
        kept = None if ready.key is None else encoded(output)
        return _Finished(output, self._model.confidences(output), kept)

    async def _infer(self, ready: _Ready) -> Done[Any]:
        light = self._loaded.light
        if light is not None and light.takes(ready.rows):
            done = await light.infer(ready.prepared, ready.rows)
            if done is not None:
                return done
        lane = self._loaded.lane
        job = lane.submit(self._ticket, ready.prepared, ready.rows, self._deadline)
        return await asyncio.wrap_future(job)

    async def _around(self, work: Callable[[], T], *, quick: bool, urgent: bool) -> Done[T]:
        """Run a step here if it is quick, and else in the pool."""
        if quick:
            return run_here(work)
        job = self._pool.submit(work, deadline=self._deadline, urgent=urgent)
        return await asyncio.wrap_future(self._ticket.held_by(job))
