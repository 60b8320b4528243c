"""A version in memory, with the way into it."""

import time
from dataclasses import dataclass, field
from typing import Any

from services.engine.lane import Lane
from services.engine.light import Light
from services.engine.meters import Meters
from services.engine.profile import Profile
from services.families.base import Model
from services.registry.catalogue import VersionRef


@dataclass(slots=True, eq=False)
class Loaded:
    """A version that was opened, warmed and tried; read by any thread.

    Attributes:
        ref: which version; the one that comes with Slipway has no `created`.
        family: of the artifact it was opened from.
        profile: what its steps cost; None without an example to measure on.
        memory_bytes: as measured while it was loaded.
        answer: what it answers to `inputs`, from its example or a made-up row; None: not known.
        asked: it is here because requests name it, not because it was in production.
        last_used: seconds since 1970.
        fields: names of the model's inputs, in order.
    """

    ref: VersionRef
    family: str
    model: Model
    lane: Lane
    meters: Meters
    memory_bytes: int
    profile: Profile | None = None
    light: Light | None = None
    answer: Any = None
    asked: bool = False
    last_used: float = field(default_factory=time.time)
    fields: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        """Look up once what each prediction is recorded with."""
        signature = self.model.signature
        if signature is not None:
            self.fields = tuple(one.name or "" for one in signature.inputs)

    @property
    def is_light(self) -> bool:
        """Whether it predicts on the event loop."""
        return self.light is not None and self.light.on

    @property
    def in_flight(self) -> int:
        """Requests that hold it now."""
        return self.lane.admission.requests()
