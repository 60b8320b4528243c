"""Every address that predicts, as one table: how rows are written there, and errors read."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
from sklearn.linear_model import LinearRegression

from services.core.errors import CheckpointError
from services.core.settings import Settings
from services.core.signature import Field, Signature
from services.families.base import Artifact, Family, Model, ModelInfo
from services.families.tabular.model import TabularModel
from services.gateway.error_examples import EXAMPLES

TABLE, PICTURES, BROKEN = "table", "colours", "broken"
COLUMNS = ("x", "y")
MAX_ROWS = 50
# Part of bad input, and never of an answer.
CANARY, NUMBER = "canary-4711", 918273645.25
Row = Sequence[Any] | Mapping[str, Any]
# What is sent: JSON, or a form's file.
Sent = Mapping[str, Any]


class Told(NamedTuple):
    """An error as a caller reads it, whatever its shape."""

    status: int
    text: str
    where: str | None
    expected: str | None
    received: str | None
    help: str | None
    request_id: str | None


@dataclass(frozen=True)
class Door:
    """An address that predicts.

    Attributes:
        path: with `{model}`, where the address names one.
        versioned: likewise with `{model}` and `{version}`; None: it takes no version.
        rows: writes rows as the body; None: it takes only one row, which `row` writes.
        encoded: writes a picture's file as the body; None: it takes a form's `file`.
        drops: columns that the model does not have are ignored, as by the server it stands for.
    """

    path: str
    where: str
    rows: Callable[[Sequence[Row]], Sent] | None
    row: Callable[[Row], Sent] | None = None
    versioned: str | None = None
    encoded: Callable[[bytes], Sent] | None = None
    pictures: str | None = None
    form_field: str = "file"
    drops: bool = False

    def send(
        self, client: httpx.Client, rows: Sequence[Row], model: str = TABLE
    ) -> httpx.Response | None:
        """Ask with rows; None: they cannot be written here."""
        body = self._body(rows)
        if body is None or not self.names(model):
            return None
        return client.post(self.path.format(model=model), **body)

    def send_version(self, client: httpx.Client, version: str) -> httpx.Response | None:
        """Ask a version; None: there is no way to name one here."""
        body = self._body([[1.0, 2.0]])
        if self.versioned is None or body is None:
            return None
        return client.post(self.versioned.format(model=TABLE, version=version), **body)

    def send_picture(self, client: httpx.Client, data: bytes) -> httpx.Response | None:
        """Ask with a picture; None: it goes to one model of rows here."""
        if self.pictures is None:
            return None
        if self.encoded is not None:
            return client.post(self.pictures, **self.encoded(data))
        return client.post(self.pictures, files={self.form_field: ("a.png", data)})

    def names(self, model: str) -> bool:
        """Whether a model can be named, or answers anyway."""
        return "{model}" in self.path or model == TABLE

    def _body(self, rows: Sequence[Row]) -> Sent | None:
        if self.rows is not None:
            return self.rows(rows)
        assert self.row is not None
        return self.row(rows[0]) if len(rows) == 1 else None


def as_json(name: str) -> Callable[[Sequence[Row]], Sent]:
    """Rows under one name."""
    return lambda rows: {"json": {name: rows}}


def tensors(rows: Sequence[Row]) -> Sent:
    """A tensor for each column; rows without names that do not fit are one matrix."""
    if rows and isinstance(rows[0], Mapping):
        names = dict.fromkeys(name for row in rows if isinstance(row, Mapping) for name in row)
        columns = {name: [row[name] for row in rows if isinstance(row, Mapping)] for name in names}
        found = [tensor(name, [len(values)], values) for name, values in columns.items()]
    else:
        width = len(rows[0]) if rows else len(COLUMNS)
        found = [tensor("rows", [len(rows), width], rows)]
    return {"json": {"inputs": found}}


def tensor(name: str, shape: Sequence[int], data: Any, datatype: str = "FP64") -> dict[str, Any]:
    """A tensor as JSON."""
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": data}


def b64(data: bytes) -> str:
    """Base64 as text."""
    return base64.b64encode(data).decode()


DOORS: dict[str, Door] = {
    "one line": Door(
        "/predict",
        "features",
        rows=None,
        row=lambda row: {"json": {"features": row}},
        pictures="/predict",
    ),
    "batch": Door(
        "/predict/batch?model={model}",
        "inputs",
        rows=as_json("inputs"),
        pictures="/predict/batch",
        form_field="files",
    ),
    "by name": Door(
        "/models/{model}/predict",
        "inputs",
        rows=as_json("inputs"),
        versioned="/models/{model}/predict?version={version}",
        pictures=f"/models/{PICTURES}/predict",
    ),
    "v2": Door(
        "/v2/models/{model}/infer",
        "inputs",
        rows=tensors,
        versioned="/v2/models/{model}/versions/{version}/infer",
        pictures=f"/v2/models/{PICTURES}/infer",
        encoded=lambda data: {"json": {"inputs": [tensor("file", [1], [b64(data)], "BYTES")]}},
    ),
    "v1": Door(
        "/v1/models/{model}:predict",
        "instances",
        rows=as_json("instances"),
        versioned="/v1/models/{model}/versions/{version}:predict",
        pictures=f"/v1/models/{PICTURES}:predict",
        encoded=lambda data: {"json": {"instances": [{"b64": b64(data)}]}},
    ),
    "invocations": Door(
        "/invocations",
        "inputs",
        rows=lambda rows: {"json": {"inputs": rows}},
        drops=True,
    ),
    "invocations by name": Door(
        "/models/{model}/invocations",
        "dataframe_records",
        rows=lambda rows: {"json": _frame(rows)},
        versioned="/models/{model}/invocations?version={version}",
        pictures=f"/models/{PICTURES}/invocations",
        encoded=lambda data: {"json": {"inputs": [b64(data)]}},
        drops=True,
    ),
}


def _frame(rows: Sequence[Row]) -> dict[str, Any]:
    if rows and isinstance(rows[0], Mapping):
        return {"dataframe_records": rows}
    return {"dataframe_split": {"data": rows}}


def read(response: httpx.Response) -> Told:
    """Read an error in whichever shape it came; that of a batch's first item too."""
    body = response.json()
    if "results" in body:
        found = next(result["error"] for result in body["results"] if not result["success"])
        header = response.headers["X-Request-ID"]
        found = {**found, "help": None, "request_id": header}
        return _own(EXAMPLES[found["code"]].status, found)
    if isinstance(body.get("error"), dict):
        return _own(response.status_code, body["error"])
    text = body["error"] if "error" in body else body["message"]
    hints = {
        name: found[1]
        for name in ("where", "expected", "received", "help", "request id")
        if (found := re.search(rf"[(;] ?{name}: (.*?)(?=; [a-z ]+: |\)$)", text))
    }
    return Told(
        response.status_code,
        text,
        *(hints.get(name) for name in ("where", "expected", "received", "help", "request id")),
    )


def _own(status: int, error: Mapping[str, Any]) -> Told:
    names = ("message", "where", "expected", "received", "help", "request_id")
    return Told(status, *(error[name] for name in names))


def well_told(response: httpx.Response, told: Told) -> None:
    """Check what holds for every error."""
    assert told.request_id == response.headers["X-Request-ID"]
    assert response.headers["Content-Type"] == "application/json"
    for secret in (CANARY, CANARY.upper(), "918273645", "Traceback", ".py"):
        assert secret not in response.text
    if response.status_code in (429, 503):
        assert int(response.headers["Retry-After"]) >= 1
    if response.status_code == 405:
        assert "POST" in response.headers["Allow"]


class Table(TabularModel):
    """Adds two numbers, by regression; `gate` runs inside every `infer`."""

    def __init__(self, gate: Callable[[float], None], settings: Settings) -> None:
        fitted = LinearRegression().fit(np.eye(2), [1.0, 1.0])
        signature = Signature(tuple(Field(name, "double") for name in COLUMNS))
        info = ModelInfo(TABLE, "1", "table", "regression", "cpu", 64)
        super().__init__(info, fitted, signature, settings.max_rows)
        self.gate = gate
        self.max_batch = 1

    def infer(self, batch: Sequence[Any]) -> Sequence[Any]:
        first = batch[0].checked.matrix
        self.gate(0.0 if first is None else float(first[0][0]))
        return super().infer(batch)


def no_wait(_: float) -> None:
    """Let `infer` run at once."""


class TableFamily(Family):
    """Comes with one version; `gate` sees the first number of what is predicted."""

    name = "table"
    task = "regression"
    model_name = TABLE
    field = "features"

    def __init__(self, gate: Callable[[float], None] = no_wait) -> None:
        self.gate = gate

    def builtin(self, settings: Settings) -> Artifact:
        return Artifact("table", TABLE, "1", Path(), example={"inputs": [[1.0, 2.0]]})

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        return Table(self.gate, settings)


class BrokenFamily(Family):
    """Comes with one version that cannot be loaded."""

    name = "broken"
    task = "nothing"
    model_name = BROKEN

    def builtin(self, settings: Settings) -> Artifact:
        return Artifact("broken", BROKEN, "1", Path())

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        raise CheckpointError("Its file is damaged.")
