"""Fits a classifier to a table, and judges one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from math import exp
from pathlib import Path
from typing import Any

import numpy as np

from services.core.signature import Field, Signature
from services.core.signature.validate import Validator
from services.families.base import Fitted, Model, Report, Split, predict
from services.families.tabular.data import Examples
from services.families.tabular.model import FIELD
from services.families.tabular.rows import Builder

FILE = "model.skops"
_ROUNDS = 10
_CHUNK = 500
# Cells of a table.
_WORTH_THREADS = 2_000_000
_PROBABILITY = {"type": "array", "items": {"type": "double"}}
_CATEGORIES = 50


def fit(split: Split, params: Mapping[str, Any], seed: int, report: Report) -> Fitted:
    """Fit what `params` ask for; a forest and boosting report as they grow."""
    from sklearn.pipeline import make_pipeline

    table: Examples = split.train
    signature = _signature(table)
    numeric = all(field.type == "double" for field in table.fields)
    rows = _input(table, signature)
    labels = np.array(table.labels)
    before = _preprocessor(table.fields, params["model"], numeric)
    if before is not None:
        rows = before.fit_transform(rows, labels)
    judge = _judge(split.held_out, signature, before)
    for done, total, classifier in _grown(params, seed, rows, labels):
        report(done, total, {"train_accuracy": classifier.score(rows, labels), **judge(classifier)})
    estimator = classifier if before is None else make_pipeline(*_flat(before), classifier)
    return Fitted(
        save=lambda folder: _save(estimator, folder),
        signature=signature,
        example={FIELD: table.rows[0]},
        config={"model": params["model"]},
    )


def evaluate(model: Model, held_out: Examples) -> dict[str, float]:
    """Return accuracy, f1, auc, and likelihood: the probability given to the truth (geometric)."""
    from sklearn.metrics import accuracy_score, f1_score

    chunk = min(_CHUNK, getattr(model, "max_rows", _CHUNK))
    outputs = [
        predict(model, {"inputs": held_out.rows[start : start + chunk]})
        for start in range(0, len(held_out.rows), chunk)
    ]
    predictions = [label for output in outputs for label in output["predictions"]]
    metrics = {
        "accuracy": float(accuracy_score(held_out.labels, predictions)),
        "f1": float(f1_score(held_out.labels, predictions, average="macro", zero_division=0.0)),
    }
    classes = outputs[0].get("classes")
    if classes is None or set(held_out.labels) != set(classes):
        return metrics
    probabilities = [row for output in outputs for row in output["probabilities"]]
    return {**metrics, **_of_probabilities(held_out.labels, np.array(probabilities), classes)}


def _of_probabilities(labels: Any, probabilities: Any, classes: list[Any]) -> dict[str, float]:
    from sklearn.metrics import log_loss, roc_auc_score

    scores = probabilities[:, 1] if len(classes) == 2 else probabilities
    auc = roc_auc_score(labels, scores, multi_class="ovr", labels=classes)
    loss = log_loss(labels, probabilities, labels=classes)
    return {"auc": float(auc), "likelihood": exp(-float(loss))}


def _signature(table: Examples) -> Signature:
    kind = "long" if isinstance(table.labels[0], int) else "string"
    outputs = (Field("prediction", kind), Field("probability", "array", detail=_PROBABILITY))
    return Signature(table.fields, outputs)


def _input(table: Examples, signature: Signature) -> Any:
    """Return the rows exactly as serving would build them."""
    checked = Validator(signature, max(1, len(table.rows))).inputs(table.rows)
    return Builder(signature, None).build([checked])


def _judge(
    held_out: Examples, signature: Signature, before: Any
) -> Callable[[Any], dict[str, float]]:
    """Return a function that scores a classifier on the held-out rows, for its report only."""
    rows = _input(held_out, signature)
    rows = rows if before is None else before.transform(rows)
    return lambda classifier: {"held_out_accuracy": classifier.score(rows, held_out.labels)}


def _preprocessor(fields: tuple[Field, ...], model: str, numeric: bool) -> Any:
    """Return what comes before the classifier: None where it takes the numbers as they are."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    complete = all(field.required for field in fields)
    if numeric and complete:
        return StandardScaler() if model == "logistic" else None
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    if numeric:
        return scaled
    categories = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=_CATEGORIES, sparse_output=False
    )
    names = [[f.name for f in fields if f.type == kind] for kind in ("double", "string")]
    parts = [("numbers", scaled, names[0]), ("texts", categories, names[1])]
    return ColumnTransformer([part for part in parts if part[2]])


def _flat(before: Any) -> list[Any]:
    return [step for _, step in before.steps] if hasattr(before, "steps") else [before]


def _grown(
    params: Mapping[str, Any], seed: int, rows: Any, labels: Any
) -> Iterator[tuple[int, int, Any]]:
    """Yield the classifier after each round: rounds done, rounds in all."""
    if params["model"] == "logistic":
        yield 1, 1, _logistic(params).fit(rows, labels)
        return
    classifier, size = (
        _forest(params, seed) if params["model"] == "forest" else _boosting(params, seed)
    )
    total = params["n_estimators"]
    rounds = min(_ROUNDS, total)
    for done in range(1, rounds + 1):
        classifier.set_params(**{size: total * done // rounds})
        with _threads(rows.size):
            classifier.fit(rows, labels)
        yield done, rounds, classifier


def _threads(cells: int) -> AbstractContextManager[Any]:
    """Fit small tables on one core: threads would spend their time on waiting for each other."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if cells >= _WORTH_THREADS:
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(1, user_api="openmp")
    return limits


def _logistic(params: Mapping[str, Any]) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1 / params["regularisation"], max_iter=1000)


def _forest(params: Mapping[str, Any], seed: int) -> tuple[Any, str]:
    from sklearn.ensemble import RandomForestClassifier

    depth = params["max_depth"] or None
    forest = RandomForestClassifier(max_depth=depth, random_state=seed, warm_start=True)
    return forest, "n_estimators"


def _boosting(params: Mapping[str, Any], seed: int) -> tuple[Any, str]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    boosting = HistGradientBoostingClassifier(
        learning_rate=params["learning_rate"],
        max_depth=params["max_depth"] or None,
        l2_regularization=params["regularisation"],
        early_stopping=False,
        random_state=seed,
        warm_start=True,
    )
    return boosting, "max_iter"


def _save(estimator: Any, folder: Path) -> None:
    import skops.io

    skops.io.dump(estimator, folder / FILE)
