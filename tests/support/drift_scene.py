"""A version in a real MLflow on SQLite, and predictions of it in a real database."""

import time
from pathlib import Path
from typing import Any

from services import families
from services.core.settings import Settings
from services.families.base import TrainableFamily
from services.ledger.database import drift
from services.ledger.database.opening import Database, open_database
from services.ledger.records import Record
from services.monitoring.drift_watch import Watcher
from services.registry.catalogue import Stage, VersionRef
from services.registry.registry import Registry
from services.training.run import train
from tests.conftest import settings_for_tests
from tests.ledger.database.made import fill, record

FAMILIES = families.discover()
NAME = "drifting"
SHIFTED = ("feature_1", "feature_7", "feature_12")


class Scene:
    """A version that was trained and registered by hands that know nothing of drift."""

    def __init__(self, folder: Path, template: Path) -> None:
        database = folder / "mlflow.db"
        database.write_bytes(template.read_bytes())
        self.settings: Settings = settings_for_tests(
            data_dir=folder, mlflow_tracking_uri=f"sqlite:///{database}"
        )
        family = FAMILIES["tabular"]
        assert isinstance(family, TrainableFamily)
        params: dict[str, Any] = {"rows": 2000}
        made = train(family, params=params, seed=0, source=None, settings=self.settings)
        self.registry = Registry(self.settings, FAMILIES)
        self.run_id = made.run_id
        self.registry.register(NAME, made.model_uri, run_id=made.run_id)
        self.registry.transition(NAME, "1", Stage.PRODUCTION, actor="test")
        self.split = family.read(None, {**family.defaults(), **params})
        self.database: Database = open_database(self.settings)
        self._segment = 0

    @property
    def ref(self) -> VersionRef:
        return self.registry.find(NAME)

    def watcher(self, name: str = "one") -> Watcher:
        return Watcher(self.settings, FAMILIES, self.database, name)

    def ask(self, first: int, count: int, shift: float = 0.0) -> None:
        """Record predictions of now: rows that the model has learned from, some of them moved."""
        data = self.split.train
        names = [field.name for field in data.fields]
        made: list[Record] = []
        for number in range(first, first + count):
            row = dict(zip(names, data.rows[number], strict=True))
            for name in SHIFTED:
                row[name] += shift
            output = {"predictions": [data.labels[number]], "classes": [0, 1]}
            about = {"model": NAME, "time": time.time(), "confidence": None}
            made.append(record(**about, input={"inputs": [row]}, output=output))
        self._segment += 1
        fill(self.database, made, number=self._segment)

    def look(self) -> drift.State:
        (state,) = self.watcher().look(NAME)
        return state

    def state(self) -> drift.State:
        with self.database.reading() as connection:
            (state,) = drift.states(connection, NAME)
        return state
