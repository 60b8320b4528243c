"""What goes into the engine and what comes out, whatever protocol or family it is for."""

from dataclasses import dataclass
from typing import Any

from services.families.base import ModelInfo
from services.registry.catalogue import Stage

# Not frozen, though nobody changes them: freezing triples the time that making one takes.


@dataclass(slots=True)
class PredictRequest:
    """One prediction to make.

    Attributes:
        model: name of the registered model.
        payload: the family's input, already decoded from the protocol.
        version: which version; None: the one that `stage` names.
        stage: whose version; None with no version: the one in production.
        mode: how it was asked for; a label of the metrics.
        id: of the prediction; None: a new one.
        timeout: seconds until the answer is no longer wanted; the engine's own limit caps it.
    """

    model: str
    payload: Any
    version: str | None = None
    stage: Stage | None = None
    mode: str = "sync"
    timeout: float | None = None
    id: str | None = None


@dataclass(slots=True)
class Timings:
    """Seconds that each phase took; `queue` is all the waiting between them."""

    queue: float
    preprocess: float
    inference: float
    postprocess: float


@dataclass(slots=True)
class PredictResult:
    """A prediction that was made.

    Attributes:
        id: under which it is recorded.
        model: the version that made it, wholly.
        stage: that version's stage when the request was resolved.
        output: the family's output.
        timings: seconds for each phase.
        seconds: from admission to the answer.
        cached: the output was kept from an equal request.
    """

    id: str
    model: ModelInfo
    output: Any
    timings: Timings
    seconds: float
    stage: Stage = Stage.NONE
    cached: bool = False
