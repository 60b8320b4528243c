"""From files to a version that is known to answer: open, warm, replay its example, measure."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from services.core.errors import ConfigurationError, SlipwayError
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.core.signature.example import example_of
from services.engine import memory
from services.engine.lane import Lane
from services.engine.light import Light
from services.engine.loaded import Loaded
from services.engine.meters import Meters
from services.engine.profile import Profile, measure
from services.engine.workers import WorkFailed
from services.families.base import Artifact, Family, Model, Picture, predict
from services.registry.catalogue import VersionRef


class Opener:
    """Opens versions, one at a time, for the loader's thread."""

    def __init__(
        self, settings: Settings, families: Mapping[str, Family], metrics: Metrics
    ) -> None:
        self._settings = settings
        self._families = families
        self._metrics = metrics
        self._devices: dict[str, threading.Lock] = {}

    def open(self, ref: VersionRef, artifact: Artifact, warming: Callable[[], None]) -> Loaded:
        """Return the version, warm and tried; `warming` is called once it is in memory.

        Raises:
            SlipwayError: it does not load, warm or answer its own example.
            Exception: whatever else the model raises.
        """
        memory.tidy()
        before = memory.resident()
        model = self._family(artifact).open(artifact, self._settings)
        lane: Lane | None = None
        try:
            warming()
            meters = Meters(self._metrics, ref.name, ref.version, run_id=artifact.run_id)
            lane = self._lane(model, ref, meters)
            profile, answer = self._try_out(model, lane, artifact)
        except BaseException as error:
            if lane is not None:
                lane.close()
                lane.join(1)
            model.close()
            if isinstance(error, WorkFailed) and error.__cause__ is not None:
                raise error.__cause__ from None
            raise
        taken = max(memory.resident() - before, model.info.memory_bytes, 0)
        light = None
        if profile is not None and profile.light:
            light = Light(model, lane, profile)
            # As many as fit into one turn of the loop are no crowd.
            lane.admission.widen(self._settings.max_batch_size)
        return Loaded(
            ref, artifact.family, model, lane, meters, taken, profile, light, answer=answer
        )

    def _family(self, artifact: Artifact) -> Family:
        family = self._families.get(artifact.family)
        if family is None:
            raise ConfigurationError(
                f"The model is of the family {artifact.family}, which is not here.",
                expected=", ".join(sorted(self._families)) or "a family in services/families",
            )
        return family

    def _lane(self, model: Model, ref: VersionRef, meters: Meters) -> Lane:
        device = model.info.device
        # Two networks on one accelerator would only push each other out of its caches.
        shared = None
        if not device.startswith("cpu"):
            shared = self._devices.setdefault(device, threading.Lock())
        return Lane(
            f"{ref.name}-{ref.version}",
            model,
            batch=max(1, min(model.max_batch, self._settings.max_batch_size)),
            waiting=self._settings.max_queue,
            lock=shared,
            ran=meters.ran,
        )

    def _try_out(self, model: Model, lane: Lane, artifact: Artifact) -> tuple[Profile | None, Any]:
        """Warm, answer the example and time it, all where later requests run.

        Returns also what the model answers to `inputs`, as far as that can be known.
        """
        lane.call(model.warm)
        example = artifact.example
        if example is None:
            return None, lane.call(lambda: _made_up_answer(model))
        try:
            answer = lane.call(lambda: predict(model, example))
        except SlipwayError as error:
            raise ConfigurationError(
                f"The model refuses the example that was stored with it: {error.message}",
                where=error.where,
                expected=error.expected,
            ) from error
        profile = lane.call(lambda: measure(model, example, lane.batch))
        if not (isinstance(example, Picture) or "inputs" in example):
            # The form of one row (`features`) has an answer of its own.
            answer = lane.call(lambda: _made_up_answer(model))
        on_cpu = model.info.device.startswith("cpu")
        return (profile if on_cpu else None), answer


def _made_up_answer(model: Model) -> Any:
    """Return what a model answers to a made-up row; None if it answers none."""
    signature = model.signature
    if signature is None or not signature.inputs:
        return None
    try:
        return predict(model, example_of(signature))
    except Exception:
        # Made-up values need not be any that the model knows.
        return None
