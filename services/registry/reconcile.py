"""Bring every place in MLflow that speaks of stages to say the same.

Every step may be repeated, by this process or another: what is written depends on what is there
alone. The tag that remembers the last agreement is written last, so that after a crash in the
middle the change still counts as one.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from services.core.errors import SlipwayError
from services.registry import look
from services.registry.catalogue import Stage
from services.registry.client import mlflow_errors, move, upsert
from services.registry.look import Reader, State
from services.registry.stages import HELD, PREVIOUS, Holders, before, tag_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Seconds of writing that one look may take; the rest is for the next one.
_BUDGET = 1.0
_RETRY_SECONDS = 30.0
_PAGE = 500

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class Refusal:
    """Writing that failed: not tried again before `until` (monotonic seconds)."""

    until: float


class Reconciler:
    """Settles the models that somebody changed; what fails is tried again later."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._refused: dict[str, Refusal] = {}

    def settle_all(self, client: "MlflowClient", found: list[State]) -> dict[str, State]:
        """Settle those that need it, as many as a second allows; return those that were.

        Raises nothing for MLflow.
        """
        settled: dict[str, State] = {}
        until = time.monotonic() + _BUDGET
        for state in found:
            if state.settled or self._waits(state.name):
                continue
            if time.monotonic() > until:
                break
            try:
                now = self._settle(client, state.name)
            except SlipwayError as error:
                self._refuse(state.name, error)
            else:
                self._refused.pop(state.name, None)
                if now is not None:
                    settled[state.name] = now
        return settled

    def _settle(self, client: "MlflowClient", name: str) -> State | None:
        """Return the model as it is after writing; None if there was nothing to write yet."""
        # As it is now, not as it was when the look began.
        fresh = look.state(client, name)
        holders = fresh.holders
        if fresh.settled or self._reader.serving(client, fresh) != holders:
            return None
        by = "MLflow alias" if _by_alias(fresh) else "MLflow stage"
        settle(client, fresh, holders, by=by)
        _log.info("stages settled", model=name, by=by, production=holders.production,
                  staging=holders.staging)  # fmt: skip
        return look.state(client, name)

    def _waits(self, name: str) -> bool:
        refusal = self._refused.get(name)
        return refusal is not None and time.monotonic() < refusal.until

    def _refuse(self, name: str, error: SlipwayError) -> None:
        if name not in self._refused:
            _log.warning("stages not written to MLflow", model=name, error=error.message)
        self._refused[name] = Refusal(time.monotonic() + _RETRY_SECONDS)


def settle(client: "MlflowClient", state: State, wanted: Holders, *, by: str) -> None:
    """Write who holds what: aliases, MLflow's own stages, tags, and last what was agreed.

    The version that held production before is archived and gets the alias `previous`.

    Raises:
        RegistryUnavailableError: MLflow does not answer, or does not let us write.
    """
    former = before(state.signals[Stage.PRODUCTION], wanted)
    with mlflow_errors("The version", where="version"):
        _aliases(client, state, wanted)
        _legacy(client, state, wanted)
        _previous(client, state, wanted, former)
        _tags(client, state.name, wanted, former, by)
        for stage in HELD:
            value = wanted.of(stage) or ""
            if (state.signals[stage].known or "") != value:
                upsert(client.set_registered_model_tag, state.name, tag_of(stage), value)


def retire(client: "MlflowClient", name: str, number: str, stage: Stage, *, by: str) -> None:
    """Write that a version is archived, or in no stage at all.

    Raises:
        RegistryUnavailableError: MLflow does not answer, or does not let us write.
    """
    since = datetime.now(UTC).isoformat(timespec="seconds")
    with mlflow_errors("The version", where="version"):
        move(client, name, number, stage.title, alone=False)
        _stage_tags(client, name, number, stage.value, since, by)


def numbers_in(client: "MlflowClient", name: str, stage: Stage) -> list[str]:
    """Return every version in MLflow's own stage, newest first."""
    with mlflow_errors("The model", where="name"):
        found = all_versions(client, name)
    return [str(version.version) for version in found if version.current_stage == stage.title]


def all_versions(client: "MlflowClient", name: str) -> list[Any]:
    """Return MLflow's versions of a model, newest first."""
    quote = '"' if "'" in name else "'"
    # MLflow's filter cannot say a name with both signs in it; then all are asked for.
    asked = None if quote in name else f"name={quote}{name}{quote}"
    found: list[Any] = []
    token = None
    while True:
        page = client.search_model_versions(asked, max_results=_PAGE, page_token=token)
        found += [version for version in page if version.name == name]
        token = page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version), reverse=True)


def _by_alias(state: State) -> bool:
    return any(signals.alias != signals.known for signals in state.signals.values())


def _aliases(client: "MlflowClient", state: State, wanted: Holders) -> None:
    for stage in HELD:
        number, alias = wanted.of(stage), state.signals[stage].alias
        if number is not None and number != alias:
            upsert(client.set_registered_model_alias, state.name, stage.value, number)
        elif number is None and alias is not None:
            client.delete_registered_model_alias(state.name, stage.value)


def _legacy(client: "MlflowClient", state: State, wanted: Holders) -> None:
    for stage in HELD:
        number, legacy = wanted.of(stage), state.signals[stage].legacy
        if number is not None and (number != legacy or not state.signals[stage].settled):
            move(client, state.name, number, stage.title, alone=True)
        elif number is None and legacy is not None:
            taken = (wanted.production, wanted.staging)
            for other in numbers_in(client, state.name, stage):
                if other not in taken:
                    move(client, state.name, other, Stage.ARCHIVED.title, alone=False)


def _previous(client: "MlflowClient", state: State, wanted: Holders, former: str | None) -> None:
    now = state.aliases.get(PREVIOUS)
    if former is not None and former != now and _exists(client, state.name, former):
        upsert(client.set_registered_model_alias, state.name, PREVIOUS, former)
    elif former is None and now is not None and now == wanted.production:
        client.delete_registered_model_alias(state.name, PREVIOUS)


def _exists(client: "MlflowClient", name: str, number: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        client.get_model_version(name, number)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def _tags(client: "MlflowClient", name: str, wanted: Holders, former: str | None, by: str) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    for number in dict.fromkeys((wanted.production, wanted.staging, former)):
        if number is None or not _exists(client, name, number):
            continue
        version = client.get_model_version(name, number)
        stage = (version.current_stage or Stage.NONE.value).lower()
        if version.tags.get("stage") != stage:
            _stage_tags(client, name, number, stage, since, by)


def _stage_tags(
    client: "MlflowClient", name: str, number: str, stage: str, since: str, by: str
) -> None:
    """Write for people what stage a version is in, since when, and by whom."""
    for tag, value in (("stage_by", by), ("stage_since", since), ("stage", stage)):
        upsert(client.set_model_version_tag, name, number, tag, value)
