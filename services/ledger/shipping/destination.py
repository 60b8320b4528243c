"""Where records go in MLflow: the experiment, and a run for each model version and day.

Several shippers, on several machines, may want the same run at the same time: whoever comes
first in the database of the ledger wins, and without a common one the run that was made first.
"""

import base64
import hashlib
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.core.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    RegistryUnavailableError,
)
from services.core.settings import Settings
from services.ledger.database import runs
from services.ledger.database.opening import Database
from services.registry import client as registry

if TYPE_CHECKING:
    from mlflow import MlflowClient

KIND, MODEL, VERSION, DAY = "slipway.kind", "slipway.model", "slipway.version", "slipway.day"
SERVING = "serving"
# Finds a run by one tag: names of models may hold any character, filters may not.
_KEY = "slipway.key"
_NOTE = "mlflow.note.content"
# How long a run or the experiment counts as there before MLflow is asked again.
_SURE_SECONDS = 60.0
_MOST_KNOWN = 1000
# MLflow's column.
_LONGEST_NAME = 250
# The shipper tries again by itself, and must be able to stop in between. No lines on the console.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Known:
    value: str
    since: float

    @property
    def sure(self) -> bool:
        return time.monotonic() - self.since < _SURE_SECONDS


class Destination:
    """MLflow as the shipper sees it. To be used from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.RLock()
        self._experiment: _Known | None = None
        self._runs: dict[Key, _Known] = {}

    @property
    def exists(self) -> bool:
        """Whether there is an MLflow at all; it may be away all the same."""
        return registry.exists(self._settings.tracking_uri)

    @property
    def http(self) -> bool:
        """Whether it is a server; only those take traces by OTLP."""
        return self._settings.tracking_uri.startswith(("http://", "https://"))

    def client(self) -> "MlflowClient":
        """Return MLflow's own client, after a knock.

        Raises:
            RegistryUnavailableError: nothing answers.
        """
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        return registry.connect(self._settings, patient=True)

    def headers(self) -> dict[str, str]:
        """Return the headers by which MLflow knows us, from the variables its client reads."""
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD")
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        if user and password:
            basic = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
            return {"Authorization": f"Basic {basic}"}
        return {"Authorization": f"Bearer {token}"} if token else {}

    def experiment_id(self) -> str:
        """Return the experiment's id; it is made, or taken out of the bin, where need be.

        Raises:
            RegistryUnavailableError: MLflow does not answer as it should.
        """
        with self._lock:
            if self._experiment is None or not self._experiment.sure:
                found = _experiment(self.client(), self._settings.ledger_experiment)
                self._experiment = _Known(found, time.monotonic())
            return self._experiment.value

    def present_experiment(self) -> str | None:
        """Return the experiment's id if it is there and in use; nothing is made.

        Raises:
            RegistryUnavailableError: MLflow does not answer as it should.
        """
        if not self.exists:
            return None
        client = self.client()
        with registry.mlflow_errors():
            found = client.get_experiment_by_name(self._settings.ledger_experiment)
        return found.experiment_id if found and found.lifecycle_stage == "active" else None

    def run_for(self, database: Database, model: str, version: str, day: str) -> str:
        """Return the id of the serving run of a model version and day; it is made where need be.

        A run that somebody deleted is taken out of the bin, or made anew where it is gone.

        Args:
            day: such as `2026-11-21`.

        Raises:
            RegistryUnavailableError: MLflow does not answer as it should.
            InvalidInputError: it accepts no such run.
            LedgerUnavailableError: the database does not answer.
        """
        key = (model, version, day)
        with self._lock:
            known = self._runs.get(key)
            if known is None or not known.sure:
                try:
                    run_id = self._settle(database, key)
                except InvalidInputError:
                    # So MLflow calls an experiment in the bin, too: it may be there just now.
                    self._experiment = None
                    run_id = self._settle(database, key)
                known = _Known(run_id, time.monotonic())
                if len(self._runs) >= _MOST_KNOWN:
                    self._runs.clear()
                self._runs[key] = known
            return known.value

    def doubt(self, model: str, version: str, day: str) -> None:
        """Look at this run again before it is used again: MLflow has refused it."""
        with self._lock:
            self._runs.pop((model, version, day), None)
            self._experiment = None

    def _settle(self, database: Database, key: Key) -> str:
        client, experiment = self.client(), self.experiment_id()
        with database.reading() as connection:
            remembered = runs.serving_run(connection, *key)
        if remembered is not None:
            if _usable(client, remembered[1], experiment, key):
                return remembered[1]
            with database.begin() as connection:
                runs.forget_run(connection, *key)
        run_id = find_run(client, experiment, key) or _make_run(client, experiment, key)
        with database.begin() as connection:
            _, winner = runs.remember_run(connection, *key, experiment, run_id)
        if winner != run_id:
            # Another shipper was faster. It may even have deleted ours.
            with registry.mlflow_errors("The run"), suppress(NotFoundError):
                client.delete_run(run_id)
        return winner


def find_run(client: "MlflowClient", experiment: str, key: Key) -> str | None:
    """Return the id of a serving run: the first that was made, and if need be out of the bin.

    Raises:
        RegistryUnavailableError: MLflow does not answer as it should.
    """
    with registry.mlflow_errors():
        for view in (1, 2):  # those that are active, those that are deleted
            found = client.search_runs(
                [experiment], f"tags.`{_KEY}` = '{_digest(key)}'", run_view_type=view
            )
            if found:
                first = min(found, key=lambda run: (run.info.start_time, run.info.run_id))
                run_id = str(first.info.run_id)
                if view == 2:
                    client.restore_run(run_id)
                return run_id
    return None


def _experiment(client: "MlflowClient", name: str) -> str:
    with registry.mlflow_errors(name):
        found = client.get_experiment_by_name(name)
        if found is None:
            with suppress(ConflictError), registry.mlflow_errors(name):
                return str(client.create_experiment(name))
            # Made by another one just now.
            found = client.get_experiment_by_name(name)
        if found is None:
            raise RegistryUnavailableError(
                "The experiment cannot be made.", where="LEDGER_EXPERIMENT"
            )
        if found.lifecycle_stage != "active":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def _usable(client: "MlflowClient", run_id: str, experiment: str, key: Key) -> bool:
    """Return whether a run can be written to; one in the bin is taken out of it."""
    try:
        with registry.mlflow_errors("The run"):
            run = client.get_run(run_id)
            if run.info.lifecycle_stage != "active":
                if run.info.experiment_id != experiment:
                    return False
                client.restore_run(run_id)
            _describe(client, run, key)
    except NotFoundError:
        return False
    return True


def _make_run(client: "MlflowClient", experiment: str, key: Key) -> str:
    model, version, day = key
    tags = {
        KIND: SERVING, MODEL: model, VERSION: version, DAY: day, _KEY: _digest(key),
        "mlflow.user": "slipway", "mlflow.source.name": "slipway", _NOTE: _note(key),
    }  # fmt: skip
    if version.isdigit():
        tags["slipway.model_uri"] = f"models:/{model}/{version}"
    end = f" v{version} {day}"
    with registry.mlflow_errors():
        made = client.create_run(
            experiment, tags=tags, run_name=model[: _LONGEST_NAME - len(end)] + end
        )
    # The first one counts, should there be two: another shipper's, or one whose answer got lost.
    first = find_run(client, experiment, key)
    with registry.mlflow_errors("The run"):
        if first is not None and first != made.info.run_id:
            client.delete_run(made.info.run_id)
            return first
        _describe(client, made, key)
    return str(made.info.run_id)


def _describe(client: "MlflowClient", run: Any, key: Key) -> None:
    """Give a run its parameters: it may have been left without when its maker died."""
    from mlflow.entities import Param

    if "model" not in run.data.params:
        params = [Param("model", key[0]), Param("version", key[1])]
        client.log_batch(run.info.run_id, params=params)


def _note(key: Key) -> str:
    model, version, day = key
    return (
        f"Predictions of model {model}, version {version}, on {day} (UTC).\n"
        "`predictions/` holds all of them as Parquet, the curves show each minute; "
        "the experiment's traces show them one by one."
    )


def _digest(key: Key) -> str:
    return hashlib.sha256("\0".join(key).encode("utf-8", "surrogatepass")).hexdigest()
