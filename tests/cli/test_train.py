"""`slipway train` and `slipway train FAMILY --help`: real trainings of a tiny family."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services import families
from tests.cli.conftest import Command
from tests.conftest import settings_for_tests
from tests.support.patience import PATIENCE
from tests.training.store import client, mlflow_template, mlflow_uri
from tests.training.toy import found

__all__ = ["mlflow_template", "mlflow_uri"]


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "discover", found)


@pytest.fixture
def mlflow(mlflow_uri: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_uri)
    return mlflow_uri


def test_families_and_the_segmenter_are_listed(slipway: Command) -> None:
    done = slipway("train", "--help")
    assert done.code == 0
    assert re.search(r"segmenter .*Train the bundled", done.out)
    assert re.search(r"toy .*Train toy \(toy-task\)", done.out)


def test_help_comes_from_the_family(slipway: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    done = slipway("train", "toy", "--help")
    assert done.code == 0
    assert re.search(r"--rounds .*1<=x<=50.*Rounds of guessing\. .*default: 5", done.out)
    assert re.search(r"--learning-rate .*0\.0001<=x<=1\.0", done.out)
    assert re.search(r"--guess .*middle\|bottom", done.out)
    assert re.search(r"--flawed .*--no-flawed", done.out)
    assert {"--seed", "--data", "--register", "--stage", "--version"} <= set(
        re.findall(r"--[a-z-]+", done.out)
    )


def test_listing_needs_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "from services.cli.main import main\n"
        "try:\n    main(['train', '--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'torch', 'mlflow', 'sklearn', 'pandas', 'transformers', 'optuna'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr


def test_a_training_prints_what_came_of_it(slipway: Command, mlflow: str) -> None:
    done = slipway("train", "toy", "--rounds", "20", "--register", "--version", "1.0.0")
    assert done.code == 0, done.err
    assert re.search(r"^held-out accuracy +[01]\.\d{4} *$", done.out, re.MULTILINE)
    assert re.search(r"^trained in +\d+\.\d s *$", done.out, re.MULTILINE)
    assert re.search(r"^registered +toy-model version 1 *$", done.out, re.MULTILINE)
    assert "toy: 2/20 train_accuracy" in done.err
    assert "slipway deploy --model toy-model --version 1" in done.err
    assert "INFO" not in done.err and "mlflow" not in done.err.lower()


def test_the_same_seed_gives_the_same_metrics(slipway: Command, mlflow: str) -> None:
    def trained(seed: str) -> tuple[dict[str, float], float]:
        done = slipway("train", "toy", "--rounds", "3", "--seed", seed, "--json")
        assert done.code == 0, done.err
        result = json.loads(done.out)
        here = client(settings_for_tests(mlflow_tracking_uri=mlflow))
        last = here.get_run(result["run_id"]).data.metrics["train_accuracy"]
        return result["metrics"], last

    assert trained("1") == trained("1")
    assert trained("1") != trained("2")


def test_a_stage_registers_and_moves(slipway: Command, mlflow: str) -> None:
    done = slipway("train", "toy", "--stage", "Production", "--json", "--run-name", "mine")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert (result["name"], result["version"], result["stage"]) == (
        "toy-model",
        "1",
        "production",
    )
    run = client(settings_for_tests(mlflow_tracking_uri=mlflow)).get_run(result["run_id"])
    assert run.info.run_name == "mine"


def test_the_options_of_the_seeds_are_accepted(slipway: Command, mlflow: str) -> None:
    done = slipway(
        "train", "toy", "--experiment-name", "ml-geometry", "--run-name", "one",
        "--register-model", "--model-version", "1.0.0", "--stage", "development", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert (result["experiment"], result["version"]) == ("ml-geometry", "1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], ["No such command 'nothing'"]),
        (["toy", "--rounds", "0"], ["--rounds"]),
        (["toy", "--rounds", "many"], ["--rounds"]),
        (["toy", "--guess", "top"], ["--guess", "middle"]),
        (["toy", "--depth", "3"], ["--depth"]),
        (["toy", "--seed", "-1"], ["--seed"]),
        (["toy", "--data", "nowhere.csv"], ["--data"]),
        (["toy", "--stage", "moon"], ["--stage", "production"]),
        (["toy", "--no-register", "--stage", "production"], ["--no-register"]),
    ],
)
def test_misuse_is_one_line(slipway: Command, arguments: list[str], words: list[str]) -> None:
    done = slipway("train", *arguments)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert len(done.err.strip().splitlines()) == 1
    assert all(word in done.err for word in words), done.err


def test_bad_data_name_the_line(slipway: Command, mlflow: str, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("0.1,0\nmany,1\n")
    done = slipway("train", "toy", "--data", "bad.csv")
    assert done.code == 1
    assert done.err.strip().splitlines()[-1].startswith("error: Line 2 cannot be read")


def test_a_failure_is_one_line(slipway: Command, mlflow: str) -> None:
    done = slipway("train", "toy", "--flawed")
    assert done.code == 1
    assert done.err.strip().splitlines()[-1].startswith("error: RuntimeError")


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_training_that_is_stopped_is_killed(mlflow_uri: str, tmp_path: Path, number: int) -> None:
    here = client(settings_for_tests(mlflow_tracking_uri=mlflow_uri))
    command = [sys.executable, "-m", "tests.training.toy", "train", "toy",
               "--pause", "0.2", "--rounds", "50", "--register"]  # fmt: skip
    environment = {**os.environ, "MLFLOW_TRACKING_URI": mlflow_uri, "DATA_DIR": str(tmp_path)}
    process = subprocess.Popen(
        command,
        cwd=Path(families.__file__).parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "5/50" in line:
                break
        os.killpg(process.pid, number)
        _, said = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    (run,) = here.search_runs([here.get_experiment_by_name("toys").experiment_id])
    assert run.info.status == "KILLED"
    assert here.search_registered_models() == []
    assert run.info.end_time <= time.time() * 1000
