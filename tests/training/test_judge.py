"""A model is judged as it will be served: from its files, and only if it answers its example."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.core.errors import CheckpointError
from services.families.base import Fitted, Model
from services.training.judge import judge_fitted, saved
from tests.conftest import MakeSettings
from tests.training.toy import FAMILY, ToyFamily


def fitted(**params: Any) -> Fitted:
    chosen = {**FAMILY.defaults(), **params}
    return FAMILY.fit(FAMILY.read(None, chosen), chosen, 0, lambda *_: None)


def judged(family: ToyFamily, model: Fitted, make_settings: MakeSettings) -> Mapping[str, float]:
    held_out = family.read(None, family.defaults()).held_out
    return judge_fitted(family, model, "toy-model", held_out, make_settings())


def test_the_metrics_are_those_of_the_saved_files(make_settings: MakeSettings) -> None:
    def save_another(folder: Path) -> None:
        (folder / "toy.json").write_text("9")

    wrong = replace(fitted(), save=save_another)
    right = judged(FAMILY, fitted(), make_settings)["accuracy"]
    assert right > 0.9
    assert judged(FAMILY, wrong, make_settings)["accuracy"] < 0.6


def test_a_model_that_refuses_its_example_is_refused(make_settings: MakeSettings) -> None:
    with pytest.raises(CheckpointError, match="own example"):
        judged(FAMILY, fitted(mute=True), make_settings)


@pytest.mark.parametrize("metrics", [{"accuracy": float("nan")}, {"f1": 0.5}, {}])
def test_metrics_that_judge_nothing_are_refused(
    make_settings: MakeSettings, metrics: dict[str, float]
) -> None:
    class Odd(ToyFamily):
        def evaluate(self, model: Model, held_out: Any) -> dict[str, float]:
            return metrics

    with pytest.raises(CheckpointError, match="judged") as refused:
        judged(Odd(), fitted(), make_settings)
    assert refused.value.where == "accuracy"


def test_the_files_are_gone_afterwards() -> None:
    with saved(FAMILY, fitted(), "toy-model") as artifact:
        assert artifact.folder.is_dir()
    assert not artifact.folder.exists()
