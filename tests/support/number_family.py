"""A small family of real files: numbers times the version's factor, plus its offset.

Versions lie on disk as JSON; `Shelves` is a registry of them in memory. What a version does wrong,
and how long it takes, stands in its file or in the payload.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInputError, NotFoundError
from services.core.settings import Settings
from services.families.base import Artifact, Family, Model, ModelInfo
from services.registry.catalogue import RegisteredModel, Snapshot, Stage, VersionRef

_BLOCK = 64_000
EXAMPLE = {"features": [1.0, 2.0]}


class Hooks:
    """What happens inside every version of a family: gates and counters, for tests."""

    def __init__(self) -> None:
        self.infer: Callable[[list[NDArray[Any]]], None] = lambda batch: None
        self.preprocess: Callable[[Any], None] = lambda payload: None
        self.opened: Callable[[Artifact], None] = lambda artifact: None
        self.batches: list[int] = []
        self.closed: list[str] = []


class NumberModel(Model):
    """Multiplies each row's sum; says in every answer which version it is."""

    def __init__(self, artifact: Artifact, config: Mapping[str, Any], hooks: Hooks) -> None:
        self.config = config
        self.hooks = hooks
        self.version = artifact.version
        self.max_batch = int(config.get("max_batch", 64))
        # In blocks that the C library keeps when they are freed, unless it is told otherwise.
        blocks = int(config.get("bytes", 0)) // _BLOCK
        self.ballast = [np.ones(_BLOCK, np.uint8) for _ in range(blocks)]
        self.inside = 0
        self.info = ModelInfo(
            artifact.name,
            artifact.version,
            "numbers",
            "arithmetic",
            str(config.get("device", "cpu")),
            int(config.get("memory_bytes", _BLOCK * len(self.ballast))),
        )

    def preprocess(self, payload: Any) -> NDArray[Any]:
        self.hooks.preprocess(payload)
        values = payload.get("inputs") or [payload.get("features")]
        try:
            return np.asarray(values, np.float64).reshape(len(values), -1)
        except (TypeError, ValueError):
            raise InvalidInputError("Not numbers.", where="features") from None

    def rows(self, prepared: NDArray[Any]) -> int:
        return len(prepared)

    def cache_key(self, prepared: NDArray[Any]) -> bytes | None:
        return prepared.tobytes() if self.config.get("cached") else None

    def infer(self, batch: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        self.inside += 1
        assert self.inside == 1, "infer in two threads at once"
        try:
            self.hooks.batches.append(len(batch))
            self.hooks.infer(list(batch))
            time.sleep(self.config.get("seconds", 0))
            if any(np.isinf(one).any() for one in batch):
                raise ValueError("poison")
            sums = np.concatenate([one.sum(axis=1) for one in batch]) * self.config["factor"]
            return np.split(sums, np.cumsum([len(one) for one in batch])[:-1])
        finally:
            self.inside -= 1

    def postprocess(self, prepared: NDArray[Any], raw: NDArray[Any]) -> dict[str, Any]:
        return {"version": self.version, "values": raw.tolist()}

    def warm(self) -> None:
        if self.config.get("breaks") == "warm":
            raise RuntimeError("/secret/path")

    def close(self) -> None:
        self.hooks.closed.append(self.version)
        self.ballast = []


class NumberFamily(Family):
    """Opens a `NumberModel` from `numbers.json`."""

    name = "numbers"
    task = "arithmetic"
    field = "features"

    def __init__(self, builtin: Artifact | None = None) -> None:
        self.hooks = Hooks()
        self._builtin = builtin

    def builtin(self, settings: Settings) -> Artifact | None:
        return self._builtin

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        self.hooks.opened(artifact)
        config = json.loads((artifact.folder / "numbers.json").read_text())
        if config.get("breaks") == "open":
            raise ValueError("/secret/path")
        return NumberModel(artifact, config, self.hooks)


class Shelves:
    """A registry in memory, of versions on disk: what `ModelSource` asks for, and snapshots."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models: dict[str, dict[str, Stage]] = {}
        self.fetched: list[str] = []
        self.error: Exception | None = None
        self._lock = threading.Lock()

    def add(
        self, version: str, name: str = "adder", example: Any = EXAMPLE, **config: Any
    ) -> VersionRef:
        """Register a version; `factor` is its number."""
        folder = self.folder / name / version
        folder.mkdir(parents=True)
        (folder / "numbers.json").write_text(json.dumps({"factor": int(version), **config}))
        (folder / "example.json").write_text(json.dumps(example))
        with self._lock:
            self.models.setdefault(name, {})[version] = Stage.NONE
        return self.ref(name, version)

    def promote(self, version: str | None, name: str = "adder") -> Snapshot:
        """Give production to a version, or to none; return what the registry shows then."""
        with self._lock:
            versions = self.models[name]
            for other, stage in versions.items():
                if stage is Stage.PRODUCTION:
                    versions[other] = Stage.ARCHIVED
            if version is not None:
                versions[version] = Stage.PRODUCTION
        return self.snapshot()

    def ref(self, name: str, version: str) -> VersionRef:
        stage = self.models[name][version]
        return VersionRef(name, version, f"shelf:/{name}/{version}", 1000, stage)

    def snapshot(self, *, stale: bool = False) -> Snapshot:
        return Snapshot({name: self._model(name) for name in self.models}, stale)

    def fetch(self, ref: VersionRef) -> Artifact:
        if self.error is not None:
            raise self.error
        self.fetched.append(f"{ref.name}/{ref.version}")
        return self.artifact(ref.version, ref.name)

    def artifact(self, version: str, name: str = "adder", *, pinned: bool = False) -> Artifact:
        folder = self.folder / name / version
        example = json.loads((folder / "example.json").read_text())
        return Artifact("numbers", name, version, folder, example=example, pinned=pinned)

    def find(self, name: str, version: str | None = None, stage: Stage | None = None) -> VersionRef:
        if self.error is not None:
            raise self.error
        for number, now in self.models.get(name, {}).items():
            if version == number or (version is None and stage is now):
                return self.ref(name, number)
        raise NotFoundError("There is no such version.", where="version")

    def _model(self, name: str) -> RegisteredModel:
        def of(stage: Stage) -> VersionRef | None:
            found = [number for number, now in self.models[name].items() if now is stage]
            return self.ref(name, found[-1]) if found else None

        latest = self.ref(name, max(self.models[name], key=int))
        return RegisteredModel(name, of(Stage.PRODUCTION), None, of(Stage.STAGING), latest)
