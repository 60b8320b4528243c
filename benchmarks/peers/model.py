"""The model that all of them serve: trained once in a run, and what it should answer."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import MARK
from benchmarks.peers.contenders import APPS, ROOT, Contender, interpreter
from services.core.settings import Settings

_SECONDS = 300.0
_CHECKED_ROWS = 5


@dataclass(frozen=True, slots=True)
class Question:
    """A row, and the class and the probabilities that it has."""

    row: list[float]
    prediction: Any
    probabilities: list[float]


@dataclass(frozen=True, slots=True)
class Trained:
    """The files of the model in every form, and questions that its answers are known to."""

    folder: Path
    questions: list[Question]

    def body(self, contender: Contender) -> str:
        """Return the JSON that is sent, with MARK among the digits of the first number."""
        row = [float(f"0.{MARK}"), *self.questions[0].row[1:]]
        return json.dumps(contender.body(row), separators=(",", ":"))


def train(folder: Path, contenders: Iterable[Contender], peers: Path) -> Trained:
    """Train for Slipway by its own command, and fit the same for the others.

    Raises:
        RuntimeError: a command failed; the message has the end of what it said.
    """
    import joblib  # type: ignore[import-untyped]

    from services.families.tabular import FAMILY

    defaults = {parameter.name: parameter.default for parameter in FAMILY.parameters}
    split = FAMILY.read(None, defaults)
    data = folder / "data.npz"
    np.savez(data, rows=np.array(split.train.rows), labels=np.array(split.train.labels))
    _train_ours(folder / "slipway")
    fit = str(APPS / "fit.py")
    own = [sys.executable, fit, str(data), str(folder / "own.joblib"), str(folder / "mlflow")]
    _run(own, {"MLFLOW_DISABLE_TELEMETRY": "true"})
    for name in {c.environment: c for c in contenders if c.environment is not None}.values():
        python = str(interpreter(name, peers))
        _run([python, fit, str(data), str(folder / f"{name.environment}.joblib")], {})
    rows = split.held_out.rows[:_CHECKED_ROWS]
    estimator = joblib.load(folder / "own.joblib")
    pairs = zip(rows, estimator.predict(rows), estimator.predict_proba(rows), strict=True)
    return Trained(folder, [Question(row, p.item(), q.tolist()) for row, p, q in pairs])


def _train_ours(data: Path) -> None:
    command = [
        sys.executable, "-m", "services.cli", "train", "tabular", "--stage", "production",
        "--seed", "0", "--json",
    ]  # fmt: skip
    _run(command, {"DATA_DIR": str(data), "PYTHONPATH": str(ROOT)})


def _run(command: list[str], variables: dict[str, str]) -> None:
    known = {name.upper() for name in Settings.model_fields}
    kept = {k: v for k, v in os.environ.items() if k not in known and not k.startswith("MLFLOW_")}
    done = subprocess.run(
        command,
        # No .env of this checkout is read.
        cwd="/",
        env={**kept, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise RuntimeError(f"{' '.join(command[:5])} failed:\n{tail}")
