"""Calls an estimator with as little around it as gives the same answers."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.json_values import to_json

Answer = tuple[NDArray[Any], NDArray[np.float64] | None]
Way = Callable[[Any], Answer]

# Their `predict` is the class of the highest probability; others may decide otherwise.
_BY_PROBABILITY = {
    "LogisticRegression",
    "DecisionTreeClassifier",
    "RandomForestClassifier",
    "ExtraTreesClassifier",
    "GradientBoostingClassifier",
    "HistGradientBoostingClassifier",
    "GaussianNB",
    "MLPClassifier",
}


class Predictor:
    """An estimator and the fastest way to ask it that was found to be right.

    Attributes:
        labels: the classes as JSON values, in the order of the probabilities; None where the
            estimator gives no probabilities of one output.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = _single_threaded(estimator)
        classes = getattr(estimator, "classes_", None)
        usable = isinstance(classes, np.ndarray) and hasattr(estimator, "predict_proba")
        self.classes: NDArray[Any] | None = classes if usable else None
        self.labels = None if self.classes is None else to_json(self.classes)
        self._way: Way = self._plain
        self._limit = _openmp_limit(estimator)

    def __call__(self, rows: Any) -> Answer:
        """Return predictions [rows] or [rows, outputs], and probabilities [rows, classes]."""
        with self._limit():
            return self._way(rows)

    def prepare(self, probe: Any) -> None:
        """Take the first shorter way that answers a few rows as the estimator itself does."""
        with self._limit():
            expected = self._plain(probe)
            for way in self._shorter():
                if _same(way(probe), expected):
                    self._way = way
                    return

    def _plain(self, rows: Any) -> Answer:
        predictions = np.asarray(self.estimator.predict(rows))
        if self.classes is None:
            return predictions, None
        return predictions, self.estimator.predict_proba(rows)

    def _shorter(self) -> list[Way]:
        last = steps_of(self.estimator)[-1]
        if self.classes is None or type(last).__name__ not in _BY_PROBABILITY:
            return []
        if not type(last).__module__.startswith("sklearn."):
            return []
        linear = _linear(self.estimator, self.classes)
        return [self._once] if linear is None else [linear, self._once]

    def _once(self, rows: Any) -> Answer:
        assert self.classes is not None
        probabilities = self.estimator.predict_proba(rows)
        return self.classes[probabilities.argmax(axis=1)], probabilities


def steps_of(estimator: Any) -> list[Any]:
    """Return the steps of a pipeline, or the estimator alone."""
    return [step for _, step in getattr(estimator, "steps", [("", estimator)])]


def _linear(estimator: Any, classes: NDArray[Any]) -> Way | None:
    """Fold scaling and logistic regression over an array into one product, a tenth of the time."""
    from scipy.special import expit, softmax  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    *before, last = steps_of(estimator)
    scaled = [type(step) for step in before] == [StandardScaler]
    if type(last) is not LogisticRegression or (before and not scaled):
        return None
    if hasattr(estimator, "feature_names_in_"):
        return None
    weights, bias = last.coef_.T.astype(np.float64), last.intercept_.astype(np.float64)
    if scaled:
        scale, mean = before[0].scale_, before[0].mean_
        weights = weights if scale is None else weights / scale[:, None]
        bias = bias if mean is None else bias - mean @ weights

    def answer(rows: NDArray[Any]) -> Answer:
        scores = rows @ weights + bias
        if scores.shape[1] > 1:
            return classes[scores.argmax(axis=1)], softmax(scores, axis=1)
        second = expit(scores)
        chosen = classes[(scores[:, 0] > 0).astype(np.intp)]
        return chosen, np.concatenate([1 - second, second], axis=1)

    return answer


def _same(found: Answer, expected: Answer) -> bool:
    if found[1] is None or expected[1] is None:
        return False
    near = np.allclose(found[1], expected[1], rtol=1e-6, atol=1e-9)
    return near and np.array_equal(found[0], expected[0])


def _single_threaded(estimator: Any) -> Any:
    """Let no step start threads: for a few rows that takes longer than the work itself."""
    try:
        params = estimator.get_params()
        jobs = {name: 1 for name in params if name == "n_jobs" or name.endswith("__n_jobs")}
        estimator.set_params(**{name: 1 for name in jobs if params[name] not in (None, 1)})
    except (AttributeError, TypeError, ValueError):
        pass
    return estimator


def _openmp_limit(estimator: Any) -> Callable[[], Any]:
    """Keep histogram boosting, which always uses every core, to one while it predicts."""
    if not type(steps_of(estimator)[-1]).__name__.startswith("HistGradientBoosting"):
        return nullcontext
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    controller = ThreadpoolController()
    return lambda: controller.limit(limits=1, user_api="openmp")
