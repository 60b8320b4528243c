"""A baseline for drift comes with a training, and never in its way."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from services import families
from services.core.errors import RegistryUnavailableError
from services.core.settings import Settings
from services.families.base import Model, ModelInfo, predict
from services.monitoring.drift.baseline import Baseline
from services.registry import baselines
from services.registry.registry import Registry
from services.training.listening import Heard, Listening
from services.training.run import train
from services.training.sweep import sweep
from tests.conftest import MakeSettings
from tests.training.store import client
from tests.training.toy import FAMILY, found


class Doubling(Model):
    special = 7

    def __init__(self) -> None:
        self.info = ModelInfo("doubling", "1", "toy", "toy-task", "cpu", 8)

    def preprocess(self, payload: Any) -> list[Any]:
        return [payload["number"]]

    def infer(self, batch: Sequence[list[Any]]) -> list[Any]:
        return [one[0] * 2 for one in batch]

    def postprocess(self, prepared: Any, raw: Any) -> dict[str, Any]:
        return {"prediction": raw}

    def confidences(self, output: Any) -> list[float]:
        return [0.5]


@pytest.fixture
def settings(
    make_settings: MakeSettings, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    monkeypatch.setattr(families, "discover", found)
    return make_settings(mlflow_tracking_uri=mlflow_uri)


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Enough of them: a quarter is held out, and a baseline takes 50."""
    path = tmp_path / "numbers.csv"
    path.write_text("".join(f"{n / 400},{int(n > 160)}\n" for n in range(400)))
    return path


def test_what_a_model_is_asked_and_answers_is_heard() -> None:
    heard = Heard()
    model = Listening(Doubling(), heard)
    for number in range(5):
        assert predict(model, {"number": number}) == {"prediction": number * 2}
    # Some at once, answered in another order; one is never answered.
    prepared = [model.preprocess({"number": number}) for number in (10, 11, 12)]
    for one, raw in list(zip(prepared, model.infer(prepared), strict=True))[:0:-1]:
        model.postprocess(one, raw)
    said = {pair[0]["number"]: pair[1] for pair in heard.pairs}
    assert said == {
        **{number: {"prediction": number * 2} for number in range(5)},
        10: None, 11: {"prediction": 22}, 12: {"prediction": 24},
    }  # fmt: skip
    assert (model.special, model.confidences({}), model.info.name) == (7, [0.5], "doubling")


def test_of_many_an_even_choice_is_kept() -> None:
    heard = Heard(most=100)
    model = Listening(Doubling(), heard)
    for number in range(5000):
        predict(model, {"number": number})
    kept = [payload["number"] for payload, _ in heard.pairs]
    assert len(kept) == len(set(kept)) == 100
    assert all(output == {"prediction": payload["number"] * 2} for payload, output in heard.pairs)
    # All of them from the beginning, or from the end, would be another mean.
    assert 1500 < sum(kept) / 100 < 3500


@pytest.mark.parametrize("how", ["train", "sweep"])
def test_a_version_has_its_baseline(settings: Settings, numbers: Path, how: str) -> None:
    usual: dict[str, Any] = {"seed": 0, "source": numbers, "settings": settings}
    if how == "train":
        train(FAMILY, params={}, register=True, **usual)
    else:
        sweep(FAMILY, runs=2, sampler="random", fixed={}, register_best=True, **usual)
    (ref,) = Registry(settings, found()).versions("toy-model")
    address = ref.tags[baselines.TAG]
    assert address.startswith(f"runs:/{ref.run_id}/")
    made = Baseline.from_bytes(baselines.get(settings, address))
    assert (made.rows, made.fields) == (100, ("number",))
    assert "number" in made.features


def _refused(*_: Any) -> Any:
    raise RegistryUnavailableError("MLflow does not answer.")


def _broken(*_: Any) -> Any:
    raise RuntimeError("nobody thought of that")


@pytest.mark.parametrize("broken", [_refused, _broken])
def test_a_training_does_not_fail_for_it(
    settings: Settings, numbers: Path, broken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "put", broken)
    made = train(FAMILY, params={}, seed=0, source=numbers, settings=settings, register=True)
    assert made.version == "1"
    assert client(settings).get_run(made.run_id).info.status == "FINISHED"
    (ref,) = Registry(settings, found()).versions("toy-model")
    assert baselines.TAG not in ref.tags


def test_too_few_rows_give_none(settings: Settings, numbers: Path) -> None:
    few = numbers.with_name("few.csv")
    few.write_text("".join(numbers.read_text().splitlines(keepends=True)[100:200]))
    made = train(FAMILY, params={}, seed=0, source=few, settings=settings)
    assert baselines.TAG not in client(settings).get_run(made.run_id).data.tags
