"""`slipway drift`: baselines, looks and what they found, with a real MLflow and a real database."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.registry import baselines
from tests.cli.conftest import Command
from tests.support.drift_scene import NAME, Scene
from tests.training.store import client, mlflow_template

__all__ = ["mlflow_template"]


@pytest.fixture
def scene(
    tmp_path: Path, mlflow_template: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    folder = tmp_path / "data"
    folder.mkdir()
    made = Scene(folder, mlflow_template)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.settings.tracking_uri)
    yield made
    made.database.close()


def test_before_there_is_anything(slipway: Command, tmp_path: Path) -> None:
    for command in ("status", "check"):
        done = slipway("drift", command)
        assert (done.code, done.out) == (0, ""), done
        assert "No version" in done.err
    assert json.loads(slipway("drift", "status", "--json").out) == {"models": [], "total_count": 0}
    assert not (tmp_path / "data").exists(), "looking makes no database"
    assert slipway("drift", "baseline", NAME).code == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--from-records", "--target", "x"),
        ("--since", "7d"),
        ("--from-records", "--since", "some time"),
        ("--data", "/not/there.csv"),
    ],
)
def test_misuse(slipway: Command, options: tuple[str, ...]) -> None:
    assert slipway("drift", "baseline", NAME, *options).code in (1, 2)


@pytest.mark.slow
def test_from_a_baseline_to_an_alarm(slipway: Command, scene: Scene) -> None:
    there = client(scene.settings)
    there.delete_tag(scene.run_id, baselines.TAG)
    scene.ask(0, 200)
    done = slipway("drift", "check")
    assert done.code == 0, done.err
    assert "no_baseline" in done.out
    # What it was judged by is not the data of the family's defaults.
    done = slipway("drift", "baseline", NAME, "--version", "1")
    assert done.code == 1
    assert "not trained on the data" in done.err
    done = slipway("drift", "baseline", NAME, "--from-records", "--since", "2h", "--json")
    assert done.code == 0, done.err
    made = json.loads(done.out)
    assert (made["rows"], made["version"]) == (200, "1")
    assert scene.ref.tags[baselines.TAG] == made["baseline"]
    done = slipway("drift", "check")
    assert done.code == 0, done.out + done.err
    assert NAME in done.out
    scene.ask(200, 500, shift=3.0)
    done = slipway("drift", "check", NAME)
    assert done.code == 1, done.out + done.err
    assert "feature_1" in done.out
    done = slipway("drift", "status", "--json")
    (found,) = json.loads(done.out)["models"]
    assert (done.code, found["state"], found["drift_detected"]) == (1, "drift", True)
