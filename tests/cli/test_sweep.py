"""`slipway sweep`: a table of runs, the best marked and registered."""

import json
import re

import pytest

from services import families
from tests.cli.conftest import Command
from tests.training.store import mlflow_template, mlflow_uri
from tests.training.toy import found

__all__ = ["mlflow_template", "mlflow_uri"]


@pytest.fixture(autouse=True)
def _toy(mlflow_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "discover", found)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_uri)


def test_a_sweep_prints_its_runs_and_marks_the_best(slipway: Command) -> None:
    done = slipway("sweep", "toy", "--num-runs", "4", "--guess", "middle")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split() == ["run", "rounds", "learning_rate", "accuracy", "seconds"]
    assert len([line for line in lines if re.match(r"\*? +\d", line)]) == 4
    marked = [line for line in lines[1:5] if line.startswith("*")]
    scores = [float(line.removeprefix("*").split()[3]) for line in lines[1:5]]
    assert len(marked) == 1
    assert float(marked[0].split()[4]) == max(scores)
    assert re.search(r"slipway train toy --guess middle --rounds \d+", lines[-1])


def test_the_best_goes_into_production(slipway: Command) -> None:
    done = slipway(
        "sweep", "toy", "--num-runs", "3", "--sampler", "tpe", "--guess", "middle",
        "--register-best", "--stage", "Production",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "registered toy-model version 1, production"


def test_the_same_seed_gives_the_same_sweep(slipway: Command) -> None:
    def metrics(seed: str) -> list[tuple[dict[str, float], dict[str, float]]]:
        done = slipway("sweep", "toy", "--num-runs", "3", "--seed", seed, "--json")
        assert done.code == 0, done.err
        return [(trial["params"], trial["metrics"]) for trial in json.loads(done.out)["trials"]]

    assert metrics("1") == metrics("1")
    assert metrics("1") != metrics("2")


def test_help_names_the_families_parameters(slipway: Command) -> None:
    done = slipway("sweep", "toy", "--help")
    assert done.code == 0
    assert {"--rounds", "--num-runs", "--sampler", "--register-best"} <= set(
        re.findall(r"--[a-z-]+", done.out)
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["toy", "--num-runs", "0"],
        ["toy", "--sampler", "luck"],
        ["toy", "--rounds", "99"],
        ["toy", "--stage", "moon"],
    ],
)
def test_misuse_is_one_line(slipway: Command, arguments: list[str]) -> None:
    done = slipway("sweep", *arguments)
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1


def test_nothing_to_vary_is_an_error(slipway: Command) -> None:
    done = slipway("sweep", "toy", "--rounds", "3", "--learning-rate", "0.1", "--guess", "middle")
    assert done.code == 1
    assert "nothing to vary" in done.err
