"""How it stands with drift, for people and programs: from the last looks, and what is registered.

Nothing is computed here, and MLflow is not asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from services.registry import baselines
from services.registry.catalogue import RegisteredModel, Stage, VersionRef

if TYPE_CHECKING:
    from services.ledger.database.drift import Look, State

OK, DRIFT, NOT_ENOUGH, NO_BASELINE = "ok", "drift", "not_enough_data", "no_baseline"
_PREDICTION, _CONFIDENCE = "_prediction", "_confidence"
_UNRECORDED = "not recorded"
# Of a version that nobody has looked at.
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Version:
    """A version that is shown.

    Attributes:
        stage: `production`, `staging`; None where it holds neither.
        baseline: address of its baseline, as far as its tags say.
    """

    model: str
    version: str
    stage: str | None
    baseline: str | None = None


def of_model(model: RegisteredModel) -> list[Version]:
    """Return the versions of a model that are looked at."""
    return [of_ref(ref) for ref in (model.production, model.staging) if ref is not None]


def of_ref(ref: VersionRef) -> Version:
    """Return a registered version."""
    held = ref.stage in (Stage.PRODUCTION, Stage.STAGING)
    return Version(
        ref.name, ref.version, str(ref.stage) if held else None, ref.tags.get(baselines.TAG)
    )


def beside(registered: Sequence[Version], states: "Iterable[State]") -> list[Version]:
    """Return the versions of a model that hold a stage, and then those that were looked at once."""
    held = {one.version for one in registered}
    before = [Version(one.model, one.version, None) for one in states if one.version not in held]
    return [*registered, *before]


def entry(
    version: Version,
    state: "State | None",
    *,
    recording: bool,
    looks: "Sequence[Look] | None" = None,
) -> dict[str, Any]:
    """Return how it stands with a version, as JSON values. Times are ISO 8601, in UTC.

    Args:
        recording: predictions are recorded here.
        looks: at it, the newest first; None: they are not shown.
    """
    report = _NOTHING if state is None or state.report is None else state.report
    found = report.get("drift", _NOTHING)
    features = list(found.get("features", ()))
    word = _state(version, state)
    shown = {
        "model": version.model,
        "version": version.version,
        "stage": None if version.stage is None else version.stage.capitalize(),
        "state": word,
        "drift_detected": word == DRIFT,
        "score": None if state is None else state.score,
        "since": None if state is None else clock(state.since),
        "checked_at": None if state is None else clock(state.checked),
        "samples_missing": None if state is None or word == NO_BASELINE else state.missing,
        "window": _window(report.get("window")),
        "baseline": _baseline(version, report.get("baseline")),
        "prediction": _named(features, _PREDICTION),
        "confidence": _named(features, _CONFIDENCE),
        "features": [one for one in features if one["feature"] not in (_PREDICTION, _CONFIDENCE)],
        "unjudged": list(found.get("unjudged", ())),
        "message": _message(version, state, word, recording=recording),
    }
    if looks is not None:
        shown["history"] = [
            {
                "checked_at": clock(look.checked),
                "state": look.verdict,
                "score": look.score,
                "samples": look.samples,
            }
            for look in looks
        ]
    return shown


def clock(microseconds: int | None) -> str | None:
    """Return a point in time as `2026-11-21T14:30:05.123+00:00`."""
    if microseconds is None:
        return None
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="milliseconds")


def _state(version: Version, state: "State | None") -> str:
    if state is None:
        return NO_BASELINE if version.baseline is None else NOT_ENOUGH
    return state.verdict


def _window(window: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if window is None:
        return None
    return {**window, "from": clock(window["from"]), "to": clock(window["to"])}


def _baseline(version: Version, known: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if known is not None:
        return {**known, "created": clock(round(known["created"] * 1e6))}
    if version.baseline is None:
        return None
    return {"source": version.baseline, "created": None, "rows": None}


def _named(features: Iterable[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    return next((one for one in features if one["feature"] == name), None)


def _message(version: Version, state: "State | None", word: str, *, recording: bool) -> str:
    if not recording:
        return "No predictions are recorded here (LEDGER=false), so there is nothing to compare."
    report = _NOTHING if state is None or state.report is None else state.report
    if word == NO_BASELINE:
        problem = report.get("problem")
        makes = f"slipway drift baseline {version.model} --version {version.version} makes one."
        return f"{problem or 'There is no baseline to compare with.'} {makes}"
    if state is None:
        return "Nobody has looked yet: workers do every DRIFT_EVERY seconds, or slipway drift check"
    window = report.get("window", _NOTHING)
    blind = " What was asked is not on record, only the answers are compared."
    blind = blind if window.get("inputs") == _UNRECORDED and state.samples else ""
    if word == NOT_ENOUGH:
        return f"A verdict needs {state.missing} more rows of predictions.{blind}"
    if word == DRIFT:
        return f"{_drifted(report.get('drift', _NOTHING))}{blind}"
    return f"The newest predictions are like the baseline.{blind}"


def _drifted(found: Mapping[str, Any], most: int = 3) -> str:
    names = [one["feature"] for one in found.get("features", ()) if one["drifted"]]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"Unlike the baseline: {', '.join(names[:most])}{more}."
