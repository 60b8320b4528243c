"""One row of a prediction, as the statistics see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Matrix = NDArray[np.float32]
# A number, a category or text, a picture or vector as float32 [784], or missing.
Value = float | str | Matrix | None

PREDICTION, CONFIDENCE = "_prediction", "_confidence"


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of one prediction.

    Attributes:
        features: values by name; empty where the input is not on record.
        prediction: the answered class, or the number of a regression.
        confidence: of that answer, 0 to 1.
        hidden: features whose values were redacted.
    """

    features: Mapping[str, Value]
    prediction: str | float | None = None
    confidence: float | None = None
    hidden: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Whether it says nothing at all."""
        return not self.features and self.prediction is None and self.confidence is None


@dataclass(frozen=True, slots=True)
class Finding:
    """What one test says of one feature.

    Attributes:
        feature, kind: its name, and `number`, `category`, `text` or `array`.
        finding: `distribution`, `unseen`, `missing` or `embedding`.
        p_value: of this test alone.
        effect: how large the change is; 1.0 is the least that counts.
        samples: values of the feature in the window.
        note: the change in a few words.
        psi, ks: where the test has them.
    """

    feature: str
    kind: str
    finding: str
    p_value: float
    effect: float
    samples: int
    note: str
    psi: float | None = None
    ks: float | None = None


# What a profile is stored as: JSON values, and arrays by name.
State = tuple[dict[str, Any], dict[str, NDArray[Any]]]
