"""The way of a version through a real MLflow server, by the commands."""

import json
from pathlib import Path

import pytest

from services.cli.main import main
from tests.support.mlflow_server import MlflowServer, mlflow_server
from tests.support.versions import Shelf

__all__ = ["mlflow_server"]


@pytest.mark.slow
def test_from_training_to_production_and_back(
    mlflow_server: MlflowServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shelf = Shelf(tmp_path, mlflow_server.uri)
    registry = shelf.registry(tmp_path / "seeding")
    name, _ = shelf.register(registry, "own", "own", "own-worse", production="1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def slipway(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stopped:
            main(list(arguments))
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, capsys.readouterr().out

    code, text = slipway("deploy", "--model", name, "--version", "2", "--to", "production")
    assert code == 0, text
    code, text = slipway("deploy", "--model", name, "--version", "3", "--json")
    assert code == 1
    assert json.loads(text)["serving_version"] == "2"
    code, text = slipway("models", "show", name, "--json")
    stages = {each["version"]: each["stage"] for each in json.loads(text)["versions"]}
    assert (code, stages) == (0, {"1": "archived", "2": "production", "3": "none"})
    sizes = [each["size_bytes"] for each in json.loads(text)["versions"]]
    assert all(size > 1000 for size in sizes)
    assert slipway("models", "rollback", name)[0] == 0
    found = registry.snapshot().models[name].production
    assert found is not None and found.version == "1"
    code, text = slipway("models", "compare", name, "1", "3")
    assert code == 0
    assert "accuracy" in text and "failed" in text
