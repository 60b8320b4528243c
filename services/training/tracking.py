"""A run in MLflow: what it is told while a training goes on, and how it ends."""

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from services.core import embedded
from services.core.errors import ConflictError, SlipwayError
from services.core.settings import Settings
from services.families.base import Split
from services.registry.client import connect, mlflow_errors

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

# MLflow takes at most so many metrics, and so many params, in one call.
_MOST_METRICS = 1000
_MOST_PARAMS = 100
_LONGEST_PARAM = 6000
_FLUSH_SECONDS = 1.0
# What a run that ended badly is told about it.
ERROR_TAG = "slipway.error"
# Runs that this process has begun and not ended.
_UNDER_WAY: "dict[str, MlflowClient]" = {}


@dataclass(frozen=True, slots=True)
class Desk:
    """Where runs are recorded: a client of MLflow, and the experiment.

    Attributes:
        uri: of MLflow, the same from beginning to end, even if a server starts or stops meanwhile.
        id: of the experiment.
        name: of the experiment.
    """

    client: "MlflowClient"
    settings: Settings
    uri: str
    id: str
    name: str

    @classmethod
    def open(cls, settings: Settings, experiment: str | None, default: str) -> Self:
        """Reach MLflow, and make the experiment where it does not exist.

        Args:
            experiment: its name; None: as set by MLFLOW_EXPERIMENT_NAME or EXPERIMENT_NAME, and
                else the default.

        Raises:
            RegistryUnavailableError: MLflow does not answer.
            ConflictError: the experiment was deleted in MLflow, and can be restored there.
        """
        name = experiment_name(settings, experiment, default)
        uri = settings.tracking_uri
        if not urlsplit(uri).netloc:
            embedded.folder(settings.data_dir).mkdir(parents=True, exist_ok=True)
        _quiet()
        client = connect(settings, patient=True)
        with mlflow_errors():
            return cls(
                client, settings, uri, _experiment(client, uri, settings.data_dir, name), name
            )

    def link(self, run: str) -> str | None:
        """Return the address of a run in MLflow's pages; None without a server."""
        uri = urlsplit(self.uri)
        if uri.scheme not in {"http", "https"}:
            return None
        host = uri.netloc.rpartition("@")[2]  # a password in the address is nobody's business
        path = uri.path.rstrip("/")
        return f"{uri.scheme}://{host}{path}/#/experiments/{self.id}/runs/{run}"


def experiment_name(settings: Settings, asked: str | None, default: str) -> str:
    """Return the name of the experiment: as asked for, else as set, else the family's own."""
    return asked or settings.mlflow_experiment_name or settings.experiment_name or default


def abandon(why: str, seconds: float) -> None:
    """Mark every run that is under way here as KILLED, taking at most so many seconds.

    For a process that is about to be ended in the middle of what it does, by another of its
    threads.
    """

    def kill() -> None:
        for run, client in list(_UNDER_WAY.items()):
            client.set_terminated(run, "KILLED")
            client.set_tag(run, ERROR_TAG, why)

    # MLflow may not answer, and whoever asks for this does not wait.
    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    thread.join(seconds)


def _quiet() -> None:
    """Keep MLflow from writing to the terminal: what matters of it is said by us.

    Its progress bars, notices and usage statistics are read from the environment when it is
    imported; what the operator set stays.
    """
    for name, value in (
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),
        ("MLFLOW_LOGGING_LEVEL", "ERROR"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("GIT_PYTHON_REFRESH", "quiet"),
    ):
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _experiment(client: "MlflowClient", uri: str, data_dir: Path, name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        # Without a server between, MLflow would put the files into the folder one happens to be in.
        place = None
        if urlsplit(uri).scheme not in {"http", "https"}:
            folder = embedded.artifact_root(data_dir) / f"experiment-{time.time_ns():x}"
            place = folder.as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=place))
        except MlflowException as error:
            # Two first trainings at the same moment.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage == "deleted":
        raise ConflictError(
            "The experiment was deleted.",
            where="experiment_name",
            expected="another name, or the experiment restored in MLflow",
        )
    return str(found.experiment_id)


class TrainingRun:
    """A run, as a context: FINISHED, or FAILED by an exception, or KILLED by an interruption."""

    def __init__(
        self,
        desk: Desk,
        *,
        name: str | None,
        tags: Mapping[str, str],
    ) -> None:
        self._client = desk.client
        with mlflow_errors():
            run = desk.client.create_run(desk.id, tags=dict(tags), run_name=name)
        self.id: str = run.info.run_id
        _UNDER_WAY[self.id] = desk.client
        self._waiting: list[Metric] = []
        self._flushed = time.monotonic()
        self._last_step = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """End it: as a context does, for those that are none.

        Raises:
            RegistryUnavailableError: it went well, and MLflow cannot be told.
        """
        try:
            if error is None:
                self.flush()
                with mlflow_errors():
                    self._client.set_terminated(self.id, "FINISHED")
            else:
                self._end_badly(error)
        finally:
            _UNDER_WAY.pop(self.id, None)

    def _end_badly(self, error: BaseException) -> None:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        try:
            self._client.set_terminated(self.id, status)
            # A message of Slipway's own holds no data; any other exception's might.
            told = error.message if isinstance(error, SlipwayError) else type(error).__name__
            self._client.set_tag(self.id, ERROR_TAG, told)
        except Exception as second:
            error.add_note(f"MLflow was not told that the run {status}: {type(second).__name__}")

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters."""
        from mlflow.entities import Param

        params = [Param(name, str(value)[:_LONGEST_PARAM]) for name, value in values.items()]
        with mlflow_errors():
            for start in range(0, len(params), _MOST_PARAMS):
                self._client.log_batch(self.id, params=params[start : start + _MOST_PARAMS])

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        with mlflow_errors():
            self._client.log_batch(self.id, tags=[RunTag(k, v) for k, v in values.items()])

    def dataset(self, split: Split) -> None:
        """Log what is learned from, as MLflow's data set and where people look first: as params."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        learned, held_out = split.rows
        profile = {"num_rows": learned + held_out, "train": learned, "held_out": held_out}
        data = Dataset(
            name=split.source[:500],
            digest=split.digest[:36],
            source_type="local",
            source=json.dumps({"uri": split.source}),
            profile=json.dumps(profile),
        )
        inputs = [DatasetInput(data, [InputTag("mlflow.data.context", "training")])]
        with mlflow_errors():
            self._client.log_inputs(self.id, inputs)
        self.params({"data_source": split.source, "data_digest": split.digest,
                     "data_rows": learned, "data_rows_held_out": held_out})  # fmt: skip

    def epoch(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of an epoch or round.

        They are sent every second. A server that is away for a moment does not end the training:
        what it missed is sent with the next, and `flush` is where it counts.
        """
        self._add(step, metrics)
        if time.monotonic() - self._flushed < _FLUSH_SECONDS:
            return
        try:
            self.flush()
        except SlipwayError:
            self._flushed = time.monotonic()

    def final(self, metrics: Mapping[str, float]) -> None:
        """Log what holds for the whole run: it becomes each metric's latest value."""
        self._add(self._last_step + 1 if self._last_step else 0, metrics)
        self.flush()

    def flush(self) -> None:
        """Send every metric that is still here."""
        with mlflow_errors():
            while self._waiting:
                self._client.log_batch(self.id, metrics=self._waiting[:_MOST_METRICS])
                del self._waiting[:_MOST_METRICS]
        self._flushed = time.monotonic()

    def _add(self, step: int, metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._last_step = max(self._last_step, step)
        self._waiting += [Metric(name, float(v), now, step) for name, v in metrics.items()]
