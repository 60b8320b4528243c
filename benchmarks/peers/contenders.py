"""Who is measured: how each is started, asked and understood.

All hold the same model in one process or one worker, and answer the class and the probabilities.
Slipway runs as it comes, with its access log; peers run without one where they have an option. A
peer whose batches are off as it comes is measured with them as well.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from services.core.embedded import database_uri
from services.core.settings import Settings

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).parent / "apps"
Answer = tuple[Any, list[float]]


class Role(StrEnum):
    """What a contender's figures are compared for."""

    OURS = "ours"
    PEER = "peer"
    BATCHING = "peer, with its batching turned on"
    INLINE = "inline"
    REFERENCE = "reference"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one server runs: its interpreter, its port, its folder, and the file of its model."""

    python: Path
    port: int
    folder: Path
    models: Path

    def tool(self, name: str) -> str:
        """Return a command of the interpreter's environment."""
        return str(self.python.parent / name)


def _features(row: Sequence[float]) -> Any:
    return {"features": list(row)}


def _own(answer: Any) -> Answer:
    return answer["prediction"], answer["probability"]


def _nothing(place: Place) -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Contender:
    """One server.

    Attributes:
        environment: folder of its own environment below that of all peers; None: this one.
        command: starts it.
        body: turns 20 numbers into what it takes.
        read: turns its answer into class and probabilities.
        ready: path that answers 200 once every model is warm, where there is one.
    """

    name: str
    label: str
    role: Role
    command: Callable[[Place], list[str]]
    environment: str | None = None
    path: str = "/predict"
    body: Callable[[Sequence[float]], Any] = _features
    read: Callable[[Any], Answer] = _own
    variables: Callable[[Place], Mapping[str, str]] = field(default=_nothing)
    ready: str | None = None


def environment_of(contender: Contender, place: Place) -> dict[str, str]:
    """Return the variables of a server: no setting of this machine's Slipway or MLflow in them."""
    known = {name.upper() for name in Settings.model_fields}
    kept = {k: v for k, v in os.environ.items() if k not in known and not k.startswith("MLFLOW_")}
    model = place.models / f"{contender.environment or 'own'}.joblib"
    return {**kept, "MODEL": str(model), **contender.variables(place)}


def _slipway(place: Place) -> list[str]:
    return [str(place.python), "-m", "services.gateway"]


def _slipway_variables(place: Place) -> Mapping[str, str]:
    data = place.models / "slipway"
    return {
        "PORT": str(place.port),
        "DATA_DIR": str(data),
        "MLFLOW_TRACKING_URI": database_uri(data),
        "PYTHONPATH": str(ROOT),
    }


def _uvicorn(app: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        return [
            str(place.python), "-m", "uvicorn", f"inline:{app}", "--app-dir", str(APPS),
            "--host", "127.0.0.1", "--port", str(place.port), "--no-access-log",
        ]  # fmt: skip

    return command


def _litserve(place: Place) -> list[str]:
    return [str(place.python), str(APPS / "litserve_app.py"), str(place.port)]


def _bentoml(service: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        return [
            place.tool("bentoml"), "serve", f"bentoml_app:{service}",
            "--working-dir", str(APPS), "--host", "127.0.0.1", "--port", str(place.port),
        ]  # fmt: skip

    return command


def _bentoml_variables(place: Place) -> Mapping[str, str]:
    config = place.folder / "bentoml.yaml"
    config.write_text("services:\n  logging:\n    access:\n      enabled: false\n")
    home = {"BENTOML_HOME": str(place.folder), "BENTOML_DO_NOT_TRACK": "True"}
    path = f"{place.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**home, "BENTOML_CONFIG": str(config), "PATH": path}


def _mlserver(batches: bool) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        settings = {
            "host": "127.0.0.1",
            "http_port": place.port,
            # The system chooses.
            "grpc_port": 0,
            "metrics_endpoint": None,
            # No second process for the model.
            "parallel_workers": 0,
            "debug": False,
        }
        model = {
            "name": "ml_classifier",
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": str(place.models / "mlserver.joblib"), "version": "1"},
            **({"max_batch_size": 64, "max_batch_time": 0.005} if batches else {}),
        }
        (place.folder / "settings.json").write_text(json.dumps(settings))
        (place.folder / "model-settings.json").write_text(json.dumps(model))
        return [place.tool("mlserver"), "start", str(place.folder)]

    return command


def _v2(row: Sequence[float]) -> Any:
    tensor = {"name": "rows", "shape": [1, 20], "datatype": "FP64", "data": list(row)}
    return {"inputs": [tensor], "outputs": [{"name": "predict"}, {"name": "predict_proba"}]}


def _read_v2(answer: Any) -> Answer:
    found = {output["name"]: output["data"] for output in answer["outputs"]}
    return found["predict"][0], found["predict_proba"]


def _mlflow(place: Place) -> list[str]:
    return [
        str(place.python), "-m", "mlflow", "models", "serve", "-m", str(place.models / "mlflow"),
        "--host", "127.0.0.1", "--port", str(place.port), "--env-manager", "local",
        "--workers", "1",
    ]  # fmt: skip


def _mlflow_variables(place: Place) -> Mapping[str, str]:
    path = f"{place.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}


def _read_mlflow(answer: Any) -> Answer:
    probabilities = answer["predictions"][0]
    return int(np.argmax(probabilities)), probabilities


def _batch(place: Place) -> Mapping[str, str]:
    return {"BATCH": "1"}


def _many(row: Sequence[float]) -> Any:
    return {"features": [list(row)]}


def _rows(row: Sequence[float]) -> Any:
    return {"inputs": [list(row)]}


ALL: tuple[Contender, ...] = (
    Contender(
        "slipway", "Slipway", Role.OURS, _slipway,
        variables=_slipway_variables, ready="/health/ready",
    ),
    Contender("litserve", "LitServe", Role.PEER, _litserve, "litserve"),
    Contender(
        "litserve-batch", "LitServe, batches", Role.BATCHING, _litserve, "litserve",
        variables=_batch,
    ),
    Contender(
        "bentoml", "BentoML", Role.PEER, _bentoml("Classifier"), "bentoml",
        variables=_bentoml_variables,
    ),
    Contender(
        "bentoml-batch", "BentoML, batches", Role.BATCHING, _bentoml("Batches"), "bentoml",
        body=_many, read=lambda answer: _own(answer[0]), variables=_bentoml_variables,
    ),
    Contender(
        "mlserver", "MLServer", Role.PEER, _mlserver(False), "mlserver",
        path="/v2/models/ml_classifier/infer", body=_v2, read=_read_v2,
    ),
    Contender(
        "mlserver-batch", "MLServer, batches", Role.BATCHING, _mlserver(True), "mlserver",
        path="/v2/models/ml_classifier/infer", body=_v2, read=_read_v2,
    ),
    Contender(
        "mlflow", "mlflow models serve", Role.PEER, _mlflow,
        path="/invocations", body=_rows, read=_read_mlflow, variables=_mlflow_variables,
    ),
    Contender("fastapi", "FastAPI, model inline", Role.INLINE, _uvicorn("plain")),
    Contender("asgi", "bare ASGI, model inline", Role.REFERENCE, _uvicorn("bare")),
    Contender("floor", "uvicorn, a constant", Role.FLOOR, _uvicorn("floor")),
)  # fmt: skip


def choose(names: str | None) -> list[Contender]:
    """Return Slipway and the others that are named (with commas between); None: all.

    Raises:
        ValueError: there is no such contender.
    """
    if names is None:
        return list(ALL)
    wanted = {name.strip() for name in names.split(",") if name.strip()} | {"slipway"}
    unknown = wanted - {contender.name for contender in ALL}
    if unknown:
        known = ", ".join(contender.name for contender in ALL)
        raise ValueError(f"no such contender: {', '.join(sorted(unknown))}; there are {known}")
    return [contender for contender in ALL if contender.name in wanted]


def interpreter(contender: Contender, peers: Path) -> Path:
    """Return the Python that runs a contender; it may not be there."""
    if contender.environment is None:
        return Path(sys.executable)
    return peers.absolute() / contender.environment / "bin" / "python"
