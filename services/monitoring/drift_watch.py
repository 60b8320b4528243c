"""Looks at the versions that serve: is what they are asked now still like their baseline?

Any number of processes may do so: a lease lets one act, and a look that two of them take at once
finds the same and writes the same.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from services.core.errors import NotFoundError, RegistryUnavailableError, SlipwayError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.families.base import Family
from services.ledger.database import drift, leases
from services.ledger.database.drift import State
from services.ledger.database.opening import Database
from services.monitoring.drift.compare import compare
from services.monitoring.drift_baselines import Baselines, Known
from services.monitoring.drift_window import Reader, Window
from services.registry import baselines
from services.registry.catalogue import Snapshot, VersionRef
from services.registry.registry import Registry

_log = get_logger(__name__)
OK, DRIFT, NOT_ENOUGH, NO_BASELINE = "ok", "drift", "not_enough_data", "no_baseline"
TAG, SCORE_TAG, SINCE_TAG = "slipway.drift", "slipway.drift_score", "slipway.drift_since"
LEASE = "drift"
# Older predictions say nothing about now; most are gone by then (LEDGER_KEEP_DAYS).
WINDOW_DAYS = 7.0
# What serves no more is forgotten after that.
_KEEP_DAYS = 30.0
_DAY = 86_400 * 1_000_000
_LEASE_SECONDS = 180.0


class Watcher:
    """One process's part; used by one thread at a time."""

    def __init__(
        self, settings: Settings, families: Mapping[str, Family], database: Database, name: str
    ) -> None:
        self._settings = settings
        self._database = database
        self._name = name
        self._registry = Registry(settings, families)
        self._baselines = Baselines(settings)
        self._reader = Reader(settings, families, database)
        self._snapshot: Snapshot | None = None

    def turn(self) -> bool:
        """Look at every version, unless another process does; return whether it was this one's.

        Raises:
            LedgerUnavailableError: the database does not answer.
            RegistryUnavailableError: MLflow does not answer, and never has.
        """
        if not self._hold():
            return False
        self.look()
        return True

    def look(self, model: str | None = None, *, anew: bool = False) -> list[State]:
        """Look at the versions in production and staging, of one model or of all.

        Args:
            anew: also where nothing has changed since the last look.

        Raises:
            LedgerUnavailableError: the database does not answer.
            RegistryUnavailableError: MLflow does not answer, and never has.
        """
        refs = self._staged()
        with self._database.reading() as connection:
            known = {(state.model, state.version): state for state in drift.states(connection)}
        found = []
        for ref in refs:
            if model is not None and ref.name != model:
                continue
            try:
                found.append(self._one(ref, known.get((ref.name, ref.version)), anew))
            except SlipwayError:
                raise
            except Exception:
                # One version must not keep the others from being looked at.
                _log.exception("drift cannot be measured", model=ref.name, version=ref.version)
        stages = {(ref.name, ref.version): str(ref.stage) for ref in refs}
        before = _now() - round(_KEEP_DAYS * _DAY)
        with self._database.begin(durable=False) as connection:
            drift.retire(connection, stages, before)
        return found

    def _hold(self) -> bool:
        now = _now()
        seconds = max(_LEASE_SECONDS, 3 * self._settings.drift_every)
        with self._database.begin(durable=False) as connection:
            token = leases.acquire(connection, LEASE, self._name, now, now + round(seconds * 1e6))
        return token is not None

    def _staged(self) -> list[VersionRef]:
        """Return what serves; as it was, while MLflow does not answer."""
        try:
            self._snapshot = self._registry.snapshot(settle=False)
        except RegistryUnavailableError:
            self._snapshot = self._snapshot or self._registry.remembered()
            if self._snapshot is None:
                raise
        models = self._snapshot.models.values()
        held = [ref for model in models for ref in (model.production, model.staging)]
        return [ref for ref in held if ref is not None]

    def _one(self, ref: VersionRef, known: State | None, anew: bool) -> State:
        """Look at a version; what cannot be looked at now stays as it was."""
        try:
            baseline = self._baselines.of(ref)
        except SlipwayError as error:
            _log.warning("a baseline cannot be had now", model=ref.name, error=error.message)
            return known or _state(ref, NO_BASELINE, {"problem": error.message})
        rows, key = self._settings.drift_window, (ref.name, ref.version)
        since = max(_now() - round(WINDOW_DAYS * _DAY), ref.created * 1000)
        ids = self._reader.newest(key, since, rows)
        seen = _digest(baseline.address, rows, ids)
        if known is not None and not anew and known.report.get("seen") == seen:
            state = replace(known, checked=_now(), stage=str(ref.stage))
            looked = False
        else:
            state = self._measured(ref, baseline, ids, seen)
            looked = state.verdict != NO_BASELINE
        state = self._dated(state, known)
        with self._database.begin(durable=False) as connection:
            drift.keep(connection, state, looked=looked)
        return self._tell(ref, state)

    def _measured(
        self, ref: VersionRef, known: Known, ids: Sequence[tuple[str, int]], seen: str
    ) -> State:
        """Compare the newest predictions with the baseline."""
        rows, baseline = self._settings.drift_window, known.baseline
        if baseline is None:
            about: dict[str, Any] = {"seen": seen, "problem": known.problem}
            return replace(_state(ref, NO_BASELINE, about), samples=len(ids))
        window = self._reader.window((ref.name, ref.version), ids, rows, baseline.fields)
        found = compare(baseline, window.samples)
        about = {
            "seen": seen,
            "window": _window(window, rows),
            "baseline": {
                "source": known.address,
                "created": baseline.created,
                "rows": baseline.rows,
            },
            "drift": found.to_json(),
        }
        return replace(
            _state(ref, found.verdict, about),
            score=None if found.verdict == NOT_ENOUGH else found.score,
            samples=found.samples,
            missing=found.missing,
        )

    def _dated(self, state: State, known: State | None) -> State:
        """Say since when it drifts, and what MLflow was told."""
        before = None if known is None else known.since
        since = (before or state.checked) if state.verdict == DRIFT else None
        return replace(state, since=since, told=None if known is None else known.told)

    def _tell(self, ref: VersionRef, state: State) -> State:
        """Let the version's tags in MLflow say it, where the verdict is another one now."""
        if state.verdict not in (OK, DRIFT) or state.verdict == state.told:
            return state
        began = "" if state.since is None else _clock(state.since)
        tags = {TAG: state.verdict, SCORE_TAG: f"{state.score or 0.0:.3g}", SINCE_TAG: began}
        try:
            baselines.tag(self._settings, ref, tags)
        except NotFoundError:
            return state
        except SlipwayError as error:
            # The next look tries again.
            _log.warning("MLflow cannot be told now", model=ref.name, error=error.message)
            return state
        with self._database.begin(durable=False) as connection:
            drift.told(connection, (ref.name, ref.version), state.verdict)
        _log.info(
            "drift", model=ref.name, version=ref.version, verdict=state.verdict, score=state.score
        )
        return replace(state, told=state.verdict)


def _state(ref: VersionRef, verdict: str, report: dict[str, Any]) -> State:
    return State(ref.name, ref.version, str(ref.stage), _now(), verdict, report=report)


def _window(window: Window, rows: int) -> dict[str, Any]:
    return {
        "from": window.first,
        "to": window.last,
        "predictions": window.predictions,
        "samples": len(window.samples),
        "wanted": rows,
        "inputs": window.inputs,
    }


def _digest(address: str | None, rows: int, ids: Sequence[tuple[str, int]]) -> str:
    """Return what changes whenever a look could find something else."""
    text = "\n".join((str(address), str(rows), *(id for id, _ in ids)))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _clock(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="seconds")


def _now() -> int:
    return round(time.time() * 1e6)
