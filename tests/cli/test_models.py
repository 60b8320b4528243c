"""`slipway models`: list, show, compare, promote, archive and rollback, on a real registry."""

import json
import re
from pathlib import Path

import pytest

from services.registry.catalogue import Stage
from services.registry.registry import Registry
from tests.cli.conftest import Command
from tests.support.mlflow_server import free_port
from tests.support.versions import Shelf


@pytest.fixture
def registry(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Return the registry that the commands use."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shelf.uri)
    return shelf.registry(tmp_path / "data")


def stages(registry: Registry, name: str) -> dict[str, str]:
    return {ref.version: str(ref.stage) for ref in registry.versions(name)}


def test_before_anything_is_registered(slipway: Command, tmp_path: Path) -> None:
    done = slipway("models", "list")
    assert done.code == 0
    assert "slipway seed-models" in done.err
    assert json.loads(slipway("models", "list", "--json").out) == {"models": [], "total_count": 0}
    assert not (tmp_path / "data" / "mlflow").exists(), "looking makes no database"
    shown = slipway("models", "show", "iris")
    assert shown.code == 1
    assert "there is none yet" in shown.err


def test_the_list(slipway: Command, shelf: Shelf, registry: Registry) -> None:
    name, _ = shelf.register(registry, "classifier", "worse", production="1")
    other, _ = shelf.register(registry, "regressor", tags={"version": "1.2.0"})
    done = slipway("models", "list")
    assert done.code == 0, done.err
    assert re.search(rf"^{name} +tabular +1 +– +2 none +\d+ \w+", done.out, re.MULTILINE)
    assert re.search(rf"^{other} +tabular +– +– +1 \(1\.2\.0\) none", done.out, re.MULTILINE)
    assert "segmenter" in done.out
    assert "Downloading" not in done.err


def test_the_list_of_a_stage(slipway: Command, shelf: Shelf, registry: Registry) -> None:
    name, _ = shelf.register(registry, "classifier", "worse", production="1")
    other, _ = shelf.register(registry, "regressor")
    for spelling in ("production", "Production"):
        done = slipway("models", "list", "--stage", spelling)
        assert name in done.out
        assert other not in done.out
    found = json.loads(slipway("models", "list", "--stage", "development", "--json").out)
    names = {model["name"]: model for model in found["models"]}
    assert found["total_count"] == len(names)
    assert {name, other} <= set(names)
    assert names[name]["production"]["version"] == "1"
    assert names[name]["latest"]["version"] == "2"
    wrong = slipway("models", "list", "--stage", "live")
    assert wrong.code == 2
    assert "production" in wrong.err


def test_show(slipway: Command, shelf: Shelf, registry: Registry) -> None:
    name, _ = shelf.register(
        registry, "classifier", "worse", production="1", tags={"version": "2.0"}
    )
    done = slipway("models", "show", name)
    assert done.code == 0, done.err
    line = r"^1 \(2\.0\) +production +tabular +accuracy 0\.5 +\d+\.\d\d MB +\d+ \w+ +production"
    assert re.search(line, done.out, re.MULTILINE)
    assert re.search(r"^2 \(2\.0\) +none", done.out, re.MULTILINE)


def test_show_one_version(slipway: Command, shelf: Shelf, registry: Registry) -> None:
    name, _ = shelf.register(registry, "classifier")
    done = slipway("models", "show", name, "--version", "1")
    assert re.search(r"^inputs +length: double, width: double, weight: double", done.out, re.M)
    assert re.search(r"^param made +\w+", done.out, re.MULTILINE)
    (found,) = json.loads(slipway("models", "show", name, "--version", "1", "--json").out)[
        "versions"
    ]
    assert found["version"] == "1"
    assert found["metrics"] == {"accuracy": 0.5}
    assert found["size_bytes"] > 1000
    assert slipway("models", "show", name, "--version", "9").code == 1


def test_close_names_are_offered(slipway: Command, shelf: Shelf, registry: Registry) -> None:
    name, _ = shelf.register(registry, "classifier")
    done = slipway("models", "show", name[:-1])
    assert done.code == 1
    assert name in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_there_and_back(slipway: Command, shelf: Shelf, registry: Registry) -> None:
    name, _ = shelf.register(registry, "classifier", "worse", production="1")
    done = slipway("models", "promote", name, "2")
    assert done.code == 0, done.err
    assert done.out == f"{name}: version 2 went from none to production.\n"
    assert "not checked" in done.err
    assert stages(registry, name) == {"1": "archived", "2": "production"}
    back = slipway("models", "rollback", name)
    assert back.code == 0, back.err
    assert back.out == f"{name}: version 1 is back in production; 2 was.\n"
    assert stages(registry, name) == {"1": "production", "2": "archived"}
    assert slipway("models", "rollback", name).code == 0
    assert stages(registry, name) == {"1": "archived", "2": "production"}


def test_promote_to_another_stage_and_archive(
    slipway: Command, shelf: Shelf, registry: Registry
) -> None:
    name, _ = shelf.register(registry, "classifier", tags={"version": "3.0.0"})
    assert slipway("models", "promote", name, "3.0.0", "--stage", "Staging").code == 0
    assert registry.find(name, stage=Stage.STAGING).version == "1"
    again = slipway("models", "promote", name, "1", "--stage", "staging")
    assert again.code == 0
    assert "already" in again.err
    assert slipway("models", "archive", name, "1").code == 0
    assert stages(registry, name) == {"1": "archived"}
    assert slipway("models", "promote", name, "1", "--stage", "moon").code == 2


def test_no_way_back(slipway: Command, shelf: Shelf, registry: Registry) -> None:
    name, _ = shelf.register(registry, "classifier", production="1")
    done = slipway("models", "rollback", name)
    assert done.code == 1
    assert "before" in done.err


def test_compare_by_the_records(slipway: Command, shelf: Shelf, registry: Registry) -> None:
    name, _ = shelf.register(registry, "classifier", "worse")
    done = slipway("models", "compare", name, "1", "2", "--no-checks")
    assert done.code == 0, done.err
    assert re.search(r"^accuracy +0\.5 +0\.5 +=", done.out, re.MULTILINE)
    assert re.search(r"^made +\w+ +\w+ +differs", done.out, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments",
    [
        ["models", "list"],
        ["models", "show", "iris"],
        ["models", "promote", "iris", "1"],
        ["models", "rollback", "iris"],
        ["deploy", "--model", "iris", "--version", "1"],
    ],
)
def test_mlflow_is_away(
    slipway: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    done = slipway(*arguments)
    assert done.code == 1
    assert done.err.startswith("error: MLflow does not answer.")
    assert len(done.err.strip().splitlines()) == 1
