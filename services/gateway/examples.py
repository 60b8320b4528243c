"""Bodies to try in the documentation: those of the documents that Slipway is built from."""

from typing import Any

_FEATURES = [
    1.5, -0.3, 2.1, 0.8, -1.2, 0.5, 1.8, -0.7, 2.3, 0.2,
    -1.5, 1.1, 0.9, -0.4, 2.0, 0.7, -1.8, 1.3, 0.6, -0.9,
]  # fmt: skip
# A thick stroke down the middle of 28 x 28 pixels: a one.
_IMAGE = [1.0 if 12 <= x <= 15 and 4 <= y <= 23 else 0.0 for y in range(28) for x in range(28)]

ONE_LINE: dict[str, Any] = {
    "features": {"summary": "A row of numbers", "value": {"features": _FEATURES}},
    "reviews": {
        "summary": "Texts",
        "value": {"reviews": ["This movie was amazing!", "Terrible film, waste of time."]},
    },
    "image": {"summary": "A handwritten digit, 28 x 28 pixels", "value": {"image": _IMAGE}},
}
BY_NAME: dict[str, Any] = {
    "rows": {"summary": "Rows as lists", "value": {"inputs": [_FEATURES]}},
    **ONE_LINE,
}
TRANSITION: dict[str, Any] = {
    "promote": {
        "summary": "Put a version into production",
        "value": {"model_name": "MNISTClassifier", "version": "3", "stage": "Production"},
    }
}
