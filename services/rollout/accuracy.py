"""Whether a candidate is as good as the version that serves, on the same held-out examples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.core.errors import InvalidInputError, SlipwayError
from services.families.base import Gates, TrainableFamily, predict
from services.rollout import labelled, scores
from services.rollout.checks import Check, Options, failed, passed, reason
from services.rollout.subject import Subject

_NAME = "accuracy"
_HINT = "--data FILE --target COLUMN judges it, --skip accuracy goes on without"
# Rows that a model without data of its own is asked for at once.
_CHUNK = 500
# Sums of the same numbers in another order may differ in their last digits.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Judge:
    """Held-out data, and how a model is judged by it.

    Attributes:
        source: what the data is, for people.
        rows: how many examples.
        metric: the name that gates look at; None: the first that `judge` returns.
        tolerance: how far it may fall.
        judge: returns a model's metrics.
    """

    source: str
    rows: int
    metric: str | None
    tolerance: float
    judge: Callable[[Subject], Mapping[str, float]]


def check(candidate: Subject, serving: Subject | None, options: Options) -> Check:
    """Judge both on the same data; no serving version: only measure."""
    try:
        judge = choose(candidate, options)
    except InvalidInputError as error:
        return failed(_NAME, f"There is nothing to judge by: {reason(error)}.")
    return compare(judge, candidate, serving)


def compare(judge: Judge, candidate: Subject, serving: Subject | None) -> Check:
    """Judge both and say whether the candidate is good enough."""
    try:
        found = judge.judge(candidate)
    except Exception as error:
        return failed(_NAME, f"The version cannot be judged by {judge.source}: {reason(error)}.")
    metric = judge.metric or next(iter(found))
    figures: dict[str, Any] = {
        "metric": metric,
        "candidate": found[metric],
        "tolerance": judge.tolerance,
        "rows": judge.rows,
        "data": judge.source,
    }
    text = f"{metric} {found[metric]:.4f} on {judge.rows} rows of {judge.source}"
    if serving is None:
        return passed(_NAME, f"{text}; no version serves yet.", **figures)
    before = f"version {serving.ref.version}, which serves,"
    try:
        other = judge.judge(serving)
    except Exception as error:
        detail = f"{text}, but {before} cannot be judged by it: {reason(error)}; {_HINT}."
        return failed(_NAME, detail, **figures)
    if metric not in other:
        return failed(_NAME, f"{text}, but {before} has no {metric}; {_HINT}.", **figures)
    figures["serving"] = other[metric]
    least = other[metric] - judge.tolerance
    allowed = f" (at most {judge.tolerance:g} less is allowed)" if judge.tolerance else ""
    detail = f"{text}; {before} has {other[metric]:.4f}{allowed}."
    outcome = passed if found[metric] >= least - _ROUNDING else failed
    return outcome(_NAME, detail, **figures)


def choose(candidate: Subject, options: Options) -> Judge:
    """Return how to judge: by the family's own data, or by a file with a target column.

    Raises:
        InvalidInputError: the family brings no data and none was named, or it cannot be read.
    """
    family = candidate.family
    if isinstance(family, TrainableFamily) and not candidate.foreign:
        params = family.defaults()
        # Its own split of a file: what a version has learned from does not judge it.
        if options.target is None or "target" in params:
            return _own(family, params, options)
    if options.data is None:
        raise InvalidInputError("The model brings no held-out data", expected=_HINT)
    found = labelled.read(options.data, options.target)
    gates = Gates()
    return Judge(
        source=options.data.name,
        rows=len(found.rows),
        metric=None,
        tolerance=gates.tolerance if options.tolerance is None else options.tolerance,
        judge=lambda subject: _label(subject, found),
    )


def _own(family: TrainableFamily, params: dict[str, Any], options: Options) -> Judge:
    if options.target is not None:
        params["target"] = options.target
    split = family.read(options.data, params)
    gates = family.gates
    return Judge(
        source=split.source,
        rows=split.rows[1],
        metric=gates.metric,
        tolerance=gates.tolerance if options.tolerance is None else options.tolerance,
        judge=lambda subject: family.evaluate(subject.model, split.held_out),
    )


def _label(subject: Subject, found: labelled.Labelled) -> Mapping[str, float]:
    predictions: list[Any] = []
    at_once = min(_CHUNK, subject.max_rows)
    for start in range(0, len(found.rows), at_once):
        rows = found.rows[start : start + at_once]
        output = predict(subject.model, labelled.payload(rows, subject.signature))
        some = output.get("predictions") if isinstance(output, Mapping) else None
        if not isinstance(some, list):
            raise SlipwayError("the model answers in no form that can be compared")
        predictions.extend(some)
    name, value = scores.score(predictions, found.answers)
    return {name: value}
