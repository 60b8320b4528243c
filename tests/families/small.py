"""Families at their smallest: settings of training that take seconds, for the contract test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.core.settings import Settings
from services.families.base import Artifact, Fitted, Model, Split, TrainableFamily

# What keeps a fit short, by the names that families commonly use; the others keep their defaults.
SHORT: Mapping[str, Any] = {
    "epochs": 1,
    "rows": 400,
    "count": 400,
    "examples": 400,
    "images": 400,
    "per_class": 20,
    "drawings": 96,
    "samples": 400,
    "n_estimators": 5,
    "hidden_size": 16,
    "batch_size": 64,
}


def short(family: TrainableFamily) -> dict[str, Any]:
    """The defaults, made small within each parameter's own limits."""
    params = family.defaults()
    for parameter in family.parameters:
        if parameter.name in SHORT:
            value = max(SHORT[parameter.name], parameter.low or 0)
            value = min(value, parameter.high or value)
            params[parameter.name] = type(parameter.default)(value)
    return params


@dataclass
class Trained:
    """A family, trained, saved and opened."""

    family: TrainableFamily
    split: Split
    fitted: Fitted
    artifact: Artifact
    model: Model
    rounds: list[tuple[int, int, dict[str, float]]] = field(default_factory=list)


def train(family: TrainableFamily, folder: Path, settings: Settings, seed: int = 3) -> Trained:
    """Train with the shortest settings, save into an empty folder, open and warm."""
    params = short(family)
    split = family.read(None, params)
    rounds: list[tuple[int, int, dict[str, float]]] = []
    fitted = family.fit(
        split, params, seed, lambda done, of, found: rounds.append((done, of, dict(found)))
    )
    folder.mkdir(parents=True)
    fitted.save(folder)
    artifact = Artifact(
        family=family.name,
        name=family.registered_name(params),
        version="1",
        folder=folder,
        config=fitted.config,
        signature=fitted.signature,
        example=fitted.example,
    )
    model = family.open(artifact, settings)
    model.warm()
    return Trained(family, split, fitted, artifact, model, rounds)
