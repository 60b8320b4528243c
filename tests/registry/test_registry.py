"""Local copies, and what still works without MLflow."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from services.core.errors import (
    CheckpointError,
    NotFoundError,
    RegistryUnavailableError,
    SlipwayError,
)
from services.registry import download as downloading
from services.registry.catalogue import Stage, VersionRef
from services.registry.registry import Registry
from services.registry.store import Store, folder_name
from tests.conftest import MakeSettings
from tests.registry.conftest import MakeRegistry, Shelf
from tests.support.mlflow_server import MlflowServer, free_port
from tests.support.patience import AT_ONCE

MLMODEL = "flavors:\n  slipway: {family: digits, config: {n: 1}, data: data}\n"


@pytest.fixture
def model(tmp_path: Path, shelf: Shelf) -> str:
    """A model whose only version is in production."""
    folder = tmp_path / "made"
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "MLmodel").write_text(MLMODEL)
    (folder / "data" / "deep" / "weights.bin").write_bytes(b"w" * 5000)
    name = shelf.add(folder)
    shelf.client.set_registered_model_alias(name, "production", "1")
    return name


def away(make_registry: MakeRegistry) -> Registry:
    """Return the same registry after a restart, while MLflow is down."""
    return make_registry(mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}")


def test_a_version_is_fetched_once(
    model: str, registry: Registry, make_registry: MakeRegistry
) -> None:
    ref = registry.find(model)
    found = registry.fetch(ref)
    assert (found.family, found.name, found.version) == ("digits", model, "1")
    assert found.config == {"n": 1}
    assert (found.folder / "deep" / "weights.bin").read_bytes() == b"w" * 5000
    again = away(make_registry).fetch(ref)
    assert again.folder == found.folder


def test_a_restart_without_mlflow_serves_the_copy(
    model: str, shelf: Shelf, registry: Registry, make_registry: MakeRegistry
) -> None:
    gone = away(make_registry)
    assert gone.remembered() is None
    without_copy = shelf.model(1)
    shelf.client.set_registered_model_alias(without_copy, "production", "1")
    production = registry.snapshot().models[model].production
    assert production is not None
    registry.fetch(production)
    began = time.monotonic()
    with pytest.raises(RegistryUnavailableError):
        gone.snapshot()
    assert time.monotonic() - began < AT_ONCE
    last = gone.remembered()
    assert last is not None and last.stale
    assert last.models[model].production == production
    assert without_copy not in last.models
    assert gone.find(model).identity == production.identity
    assert gone.find(model, "1").identity == production.identity
    for attempt in (
        lambda: gone.find(model, stage=Stage.STAGING),
        lambda: gone.find("unheard of"),
        lambda: gone.find(model, "2"),
        lambda: gone.versions(model),
        lambda: gone.rollback(model, actor="ada"),
    ):
        with pytest.raises(RegistryUnavailableError):
            attempt()


def test_a_server_that_hangs_is_given_up_soon(
    tmp_path: Path, make_registry: MakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as mute:
        registry = make_registry(mlflow_tracking_uri=f"http://127.0.0.1:{mute.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(RegistryUnavailableError):
            registry.snapshot()
        assert time.monotonic() - began < AT_ONCE


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": 1, "models": 5}',
                                     '{"format": 1, "models": {"a": {}}}', "\0"])  # fmt: skip
def test_a_spoilt_memory_is_none(tmp_path: Path, registry: Registry, content: str) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "snapshot.json").write_text(content)
    assert registry.remembered() is None


def test_an_embedded_registry_before_its_first_use(
    tmp_path: Path, make_registry: MakeRegistry
) -> None:
    registry = make_registry(mlflow_tracking_uri=None)
    assert registry.snapshot().models == {}
    with pytest.raises(NotFoundError):
        registry.find("m")
    with pytest.raises(NotFoundError):
        registry.transition("m", "1", Stage.PRODUCTION, actor="ada")
    assert list(tmp_path.iterdir()) == [], "looking makes no database"


@pytest.mark.slow
def test_a_database_without_a_server(tmp_path: Path, make_registry: MakeRegistry) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(uri)
    experiment = client.create_experiment("e", artifact_location=str(tmp_path / "artifacts"))
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, MLMODEL, "model/MLmodel")
    client.log_text(run.info.run_id, "w", "model/data/weights.bin")
    client.create_registered_model("m")
    source = f"{run.info.artifact_uri}/model"
    client.create_model_version("m", source, run.info.run_id, await_creation_for=0)
    registry = make_registry(mlflow_tracking_uri=uri)
    registry.transition("m", "1", Stage.PRODUCTION, actor="ada")
    production = registry.snapshot().models["m"].production
    assert production is not None and registry.fetch(production).family == "digits"
    # A link among the files would be followed when they are copied.
    (Path(source) / "data" / "passwd").symlink_to("/etc/passwd")
    client.create_model_version("m", source, run.info.run_id, await_creation_for=0)
    with pytest.raises(CheckpointError):
        registry.fetch(registry.find("m", "2"))
    assert len(list((tmp_path / "models" / "registry").rglob("manifest.json"))) == 1


def test_several_ask_for_the_same_at_once(
    model: str, make_registry: MakeRegistry, tmp_path: Path
) -> None:
    registries = [make_registry(), make_registry()]
    ref = registries[0].find(model)
    folders: list[Any] = []
    threads = [
        threading.Thread(target=lambda one=one: folders.append(one.fetch(ref).folder))
        for one in registries * 3
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 6 and len(set(folders)) == 1
    assert leftovers(tmp_path) == []


def leftovers(home: Path) -> list[str]:
    return [path.name for path in home.rglob("*.part")]


REF = VersionRef("na/me", "1", "s", 5)


def fill(ref: VersionRef, into: Path) -> None:
    (into / "MLmodel").write_text(MLMODEL)
    (into / "weights.bin").write_bytes(b"w" * 10)


def cut(ref: VersionRef, into: Path) -> None:
    fill(ref, into)
    raise RegistryUnavailableError("cut")


def full(ref: VersionRef, into: Path) -> None:
    fill(ref, into)
    raise OSError(28, "No space left on device")


def linked(ref: VersionRef, into: Path) -> None:
    fill(ref, into)
    (into / "link").symlink_to("/etc/passwd")


def bare(ref: VersionRef, into: Path) -> None:
    (into / "weights.bin").write_bytes(b"w")


@pytest.mark.parametrize("fetch", [cut, full, linked, bare])
def test_what_does_not_arrive_whole_leaves_nothing(tmp_path: Path, fetch: Any) -> None:
    store = Store(tmp_path)
    with pytest.raises(SlipwayError):
        store.ensure(REF, fetch)
    assert store.get(REF) is None and not list(tmp_path.rglob("*.*"))
    assert store.ensure(REF, fill).files.joinpath("weights.bin").read_bytes() == b"w" * 10
    assert store.find("na/me", "1") == REF


def test_a_copy_that_was_damaged_is_fetched_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    weights = store.ensure(REF, fill).files / "weights.bin"
    weights.write_bytes(b"")
    assert store.get(REF) is None
    assert (store.ensure(REF, fill).files / "weights.bin").read_bytes() == b"w" * 10
    assert leftovers(tmp_path) == []


def test_pruning(tmp_path: Path) -> None:
    store = Store(tmp_path)
    refs = [VersionRef("m", str(number), "s", number) for number in range(5)]
    for ref in refs:
        store.ensure(ref, fill)
    abandoned = tmp_path / "m" / ".9-9-x.part"
    abandoned.mkdir()
    assert store.prune(refs[:1]) == 0, "somebody has just asked for them"
    os.utime(abandoned, (0, 0))
    assert store.prune(refs[:2], grace=0) == 3
    assert [store.get(ref) is not None for ref in refs] == [True, True, False, False, False]
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["0-0", "1-1"]
    assert store.prune([], grace=0) == 2
    assert list(tmp_path.iterdir()) == []


def test_what_holds_a_stage_is_not_pruned(
    model: str, shelf: Shelf, registry: Registry, tmp_path: Path
) -> None:
    ref = registry.snapshot().models[model].production
    assert ref is not None
    registry.fetch(ref)
    for manifest in tmp_path.rglob("manifest.json"):
        os.utime(manifest, (0, 0))
    assert registry.prune() == 0
    shelf.client.delete_model_version(model, "1")
    registry.snapshot()
    assert registry.prune([ref]) == 0
    assert registry.prune() == 1


def test_folder_names_are_safe_and_distinct() -> None:
    names = [
        "a", "A b", "a+b", "a/b", "..", ".", "a%2Fb", "ü" * 256, "ü" * 255 + "v", "x" * 256, "\0",
    ]  # fmt: skip
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == len(names)
    for folder in folders:
        assert len(folder) <= 200 and "/" not in folder and not folder.startswith(".")


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "/etc/passwd", "a/%2e%2e/x", "..\\x", "", "a\0b", "%2Fetc"]
)
def test_a_path_that_leads_elsewhere(path: str) -> None:
    with pytest.raises(CheckpointError):
        downloading._check(path)


def test_a_download_that_takes_too_long(
    model: str, registry: Registry, make_settings: MakeSettings, mlflow_server: MlflowServer,
    tmp_path: Path,
) -> None:  # fmt: skip
    ref = registry.find(model)
    into = tmp_path / "into"
    into.mkdir()
    client = MlflowClient(mlflow_server.uri)
    with pytest.raises(RegistryUnavailableError):
        downloading.download(client, mlflow_server.uri, ref, into, seconds=0)
