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
BATCH: dict[str, Any] = {
    "features": {
        "summary": "Rows of numbers",
        "value": {"features": [_FEATURES, [-value for value in _FEATURES]]},
    },
    "reviews": ONE_LINE["reviews"],
    "images": {"summary": "Handwritten digits", "value": {"images": [_IMAGE, _IMAGE]}},
    "inputs": {
        "summary": "Rows of any model",
        "value": {"model": "ml_classifier", "inputs": [_FEATURES]},
    },
}
INSTANCES: dict[str, Any] = {
    "instances": {"summary": "Rows of numbers", "value": {"instances": [_FEATURES]}},
}
TENSORS: dict[str, Any] = {
    "numbers": {
        "summary": "A table of numbers",
        "value": {
            "inputs": [{"name": "inputs", "datatype": "FP64", "shape": [1, 20], "data": _FEATURES}]
        },
    },
    "texts": {
        "summary": "Texts",
        "value": {
            "inputs": [
                {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["A wonderful film."]}
            ]
        },
    },
    "digit": {
        "summary": "A handwritten digit",
        "value": {
            "inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 784], "data": _IMAGE}]
        },
    },
}
_COLUMNS = [f"feature_{number}" for number in range(1, len(_FEATURES) + 1)]
SCORING: dict[str, Any] = {
    "dataframe_split": {
        "summary": "A table",
        "value": {"dataframe_split": {"columns": _COLUMNS, "data": [_FEATURES]}},
    },
    "dataframe_records": {
        "summary": "Records",
        "value": {"dataframe_records": [dict(zip(_COLUMNS, _FEATURES, strict=True))]},
    },
    "inputs": {"summary": "Rows", "value": {"inputs": [_FEATURES]}},
    "instances": {
        "summary": "Rows, as in TensorFlow Serving",
        "value": {"instances": [_FEATURES]},
    },
}
SCORING_CSV = "\n".join([",".join(_COLUMNS), ",".join(map(str, _FEATURES))])
TRANSITION: dict[str, Any] = {
    "promote": {
        "summary": "Put a version into production",
        "value": {"model_name": "MNISTClassifier", "version": "3", "stage": "Production"},
    }
}
LATER: dict[str, Any] = {
    "row": {
        "summary": "A row of numbers",
        "value": {"model": "ml_classifier", "input": {"features": _FEATURES}},
    },
    "one version": {
        "summary": "Texts, with one version, of use for a minute only",
        "value": {
            "model": "sentiment-analysis-tfidf",
            "version": "1",
            "input": {"reviews": ["A wonderful film."]},
            "ttl": 60,
        },
    },
}
FEEDBACK: dict[str, Any] = {
    "wrong": {
        "summary": "It was wrong, and what would have been right",
        "value": {
            "value": False,
            "expected": 1,
            "rationale": "Seen in the shop.",
            "source": "reviewer@example.com",
        },
    },
    "rating": {"summary": "A rating", "value": {"name": "rating", "value": 4}},
    "right": {"summary": "It was right", "value": {"value": True}},
}
_PREDICTION = "01937f5c-9f2b-7cc0-8000-6f1e5b9a3d21"
_SQUARE = [10, 10, 50, 10, 50, 50, 10, 50]
FEEDBACK_ITEMS: dict[str, Any] = {
    "classes": {
        "summary": "The right classes of predictions",
        "value": [
            {"prediction_id": _PREDICTION, "expected": 1},
            {"prediction_id": "01937f5c-9f2b-7cc0-8000-6f1e5b9a3d22", "expected": [0, 1]},
        ],
    },
    "masks": {
        "summary": "The right objects in a picture",
        "value": [{"prediction_id": _PREDICTION, "expected": [{"polygons": [_SQUARE]}]}],
    },
}
TRAIN: dict[str, Any] = {
    "digits": {
        "summary": "Handwritten digits",
        "value": {"learning_rate": 0.001, "epochs": 10, "batch_size": 64, "hidden_size": 128},
    },
    "any": {
        "summary": "Another family, into production",
        "value": {
            "family": "tabular",
            "params": {"model": "boosting", "n_estimators": 200},
            "stage": "production",
            "version_tag": "1.1.0",
        },
    },
}
SWEEP: dict[str, Any] = {
    "digits": {
        "summary": "Ten trainings, two at a time",
        "value": {"runs": 10, "parallel": 2, "fixed": {"epochs": 5}, "stage": "staging"},
    },
}
TRAIN_MODEL: dict[str, Any] = {
    "tfidf": {"summary": "Weighted words", "value": {"model": "tfidf"}},
}
