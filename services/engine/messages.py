"""What goes into the engine and what comes out, whatever protocol or family it is for."""

from dataclasses import dataclass
from typing import Any

from services.families.base import ModelInfo


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """One prediction to make.

    Attributes:
        model: name of the model.
        payload: the family's input, already decoded from the protocol.
        mode: how it was asked for; a label of the metrics.
        timeout: seconds until the answer is no longer wanted; the engine's own limit caps it.
    """

    model: str
    payload: Any
    mode: str = "sync"
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that each phase took; `queue` is all the waiting between them."""

    queue: float
    preprocess: float
    inference: float
    postprocess: float


@dataclass(frozen=True, slots=True)
class PredictResult:
    """A prediction that was made.

    Attributes:
        id: under which it is recorded.
        model: the model that made it.
        output: the family's output.
        timings: seconds for each phase.
        seconds: from admission to the answer.
    """

    id: str
    model: ModelInfo
    output: Any
    timings: Timings
    seconds: float
