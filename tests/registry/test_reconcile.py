"""Promotions in trouble: versions that go, are not ready, odd names, several who write."""

import sqlite3
import threading
from contextlib import closing
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

from services.core.errors import CheckpointError, ConflictError, NotFoundError
from services.registry.catalogue import Stage
from services.registry.client import upsert
from services.registry.registry import Registry
from tests.registry.conftest import MakeRegistry, Shelf
from tests.registry.test_promotions import held, seeds_promote, seen
from tests.support.mlflow_server import MlflowServer
from tests.support.patience import PATIENCE


def test_a_deleted_version_and_a_deleted_model(shelf: Shelf, registry: Registry) -> None:
    name = shelf.model(2)
    registry.transition(name, "1", Stage.PRODUCTION, actor="ada")
    registry.transition(name, "2", Stage.PRODUCTION, actor="ada")
    shelf.client.delete_model_version(name, "1")
    assert held(seen(registry, name)) == ("2", None, None)
    with pytest.raises(NotFoundError):
        registry.find(name, "1")
    with pytest.raises(ConflictError):
        registry.rollback(name, actor="ada")
    shelf.client.delete_model_version(name, "2")
    assert held(seen(registry, name)) == (None, None, None)
    shelf.client.delete_registered_model(name)
    assert name not in registry.snapshot().models
    with pytest.raises(NotFoundError):
        registry.versions(name)


def test_a_version_is_told_from_one_of_a_former_model(shelf: Shelf, registry: Registry) -> None:
    name = shelf.model(1)
    first = registry.find(name, "1")
    shelf.client.delete_registered_model(name)
    shelf.model(1, name)
    second = registry.find(name, "1")
    assert first.identity != second.identity


def test_a_version_that_is_not_ready_does_not_serve(
    shelf: Shelf, registry: Registry, mlflow_server: MlflowServer
) -> None:
    name = shelf.model(2)
    registry.transition(name, "1", Stage.PRODUCTION, actor="ada")
    set_status(mlflow_server, name, "2", "PENDING_REGISTRATION")
    shelf.client.set_registered_model_alias(name, "production", "2")
    assert held(seen(registry, name))[0] == "1"
    assert shelf.stage(name, "1") == "Production"
    with pytest.raises(ConflictError):
        registry.transition(name, "2", Stage.PRODUCTION, actor="ada")
    set_status(mlflow_server, name, "2", "READY")
    assert held(seen(registry, name))[0] == "2"


def set_status(server: MlflowServer, name: str, version: str, status: str) -> None:
    with (
        closing(sqlite3.connect(server.folder / "mlflow.db", timeout=PATIENCE)) as database,
        database,
    ):
        database.execute(
            "UPDATE model_versions SET status = ? WHERE name = ? AND version = ?",
            (status, name, version),
        )


@pytest.mark.parametrize(
    "name", ["with space", "ümläut 模型", "it's", 'say "hi"', """bo'th "signs" """, "a%2Fb", ".x"]
)
def test_odd_names(shelf: Shelf, registry: Registry, name: str) -> None:
    shelf.model(2, name)
    registry.transition(name, "1", Stage.PRODUCTION, actor="ada")
    seeds_promote(shelf.client, name, "2")
    assert held(seen(registry, name)) == ("2", "1", None)
    assert [ref.version for ref in registry.versions(name)] == ["2", "1"]
    # Its MLmodel says nothing that can be served, but the files came.
    ref = registry.find(name)
    with pytest.raises(CheckpointError, match="no flavour"):
        registry.fetch(ref)


def test_a_model_without_versions(shelf: Shelf, registry: Registry) -> None:
    name = shelf.model(0)
    model = seen(registry, name)
    assert model.latest is None and held(model) == (None, None, None)
    assert registry.versions(name) == []
    with pytest.raises(NotFoundError):
        registry.find(name)
    for version in ("1", "0", "-1", "1.0", "x", "99999999999", "١", ""):
        with pytest.raises(NotFoundError):
            registry.find(name, version)


def test_several_look_at_the_same_time(shelf: Shelf, make_registry: MakeRegistry) -> None:
    name = shelf.model(3)
    registries = [make_registry() for _ in range(3)]
    for version in ("1", "2", "3"):
        shelf.client.set_registered_model_alias(name, "production", version)
        threads = [threading.Thread(target=registry.snapshot) for registry in registries]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {held(seen(registry, name))[0] for registry in registries} == {version}
    assert held(seen(registries[0], name)) == ("3", "2", None)
    assert shelf.stage(name, "3") == "Production"


def test_a_registry_that_cannot_be_written_is_followed(
    shelf: Shelf, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    def refuse(*args: Any, **options: Any) -> None:
        raise MlflowException("no", error_code=7)  # PERMISSION_DENIED

    name = shelf.model(2)
    with monkeypatch.context() as patch:
        for method in (
            "set_registered_model_alias", "set_registered_model_tag", "set_model_version_tag",
            "transition_model_version_stage",
        ):  # fmt: skip
            patch.setattr(MlflowClient, method, refuse)
        seeds = Shelf(registry._settings.tracking_uri)
        _rest_stage(registry, name, "1")
        assert held(seen(registry, name))[0] == "1"
        _rest_stage(registry, name, "2")
        assert held(seen(registry, name))[0] == "2"
        assert seeds.aliases(name) == {}


def _rest_stage(registry: Registry, name: str, version: str) -> None:
    answer = httpx.post(
        f"{registry._settings.tracking_uri}/api/2.0/mlflow/model-versions/transition-stage",
        json={
            "name": name,
            "version": version,
            "stage": "Production",
            "archive_existing_versions": True,
        },
        timeout=PATIENCE,
    )
    assert answer.is_success, answer.text


def test_only_what_is_served_is_settled(shelf: Shelf, make_registry: MakeRegistry) -> None:
    mine, others = shelf.model(1), shelf.model(1)
    for name in (mine, others):
        seeds_promote(shelf.client, name, "1")
    models = make_registry(serve_models=(mine,)).snapshot().models
    assert held(models[others])[0] == "1"
    assert shelf.aliases(mine) == {"production": "1"}
    assert shelf.aliases(others) == {}


def test_the_winner_is_known_before_anything_is_written(
    shelf: Shelf, make_registry: MakeRegistry
) -> None:
    name = shelf.model(2)
    registry = make_registry(serve_models=(name,))
    registry.transition(name, "1", Stage.PRODUCTION, actor="ada")
    shelf.client.set_registered_model_alias(name, "production", "2")
    assert held(registry.snapshot(settle=False).models[name]) == ("2", "1", None)
    assert shelf.stage(name, "2") == "None"
    assert registry.settle()
    assert shelf.stage(name, "2") == "Production"
    assert held(registry.snapshot(settle=False).models[name]) == ("2", "1", None)
    assert shelf.aliases(name) == {"production": "2", "previous": "1"}


def test_a_version_that_is_not_ready_is_nothing_to_settle(
    shelf: Shelf, make_registry: MakeRegistry, mlflow_server: MlflowServer
) -> None:
    name = shelf.model(1)
    registry = make_registry(serve_models=(name,))
    set_status(mlflow_server, name, "1", "PENDING_REGISTRATION")
    shelf.client.set_registered_model_alias(name, "production", "1")
    assert held(registry.snapshot(settle=False).models[name]) == (None, None, None)
    assert not registry.settle(), "else the follower would look without pause"
    set_status(mlflow_server, name, "1", "READY")
    registry.snapshot(settle=False)
    assert registry.settle()
    registry.snapshot(settle=False)
    assert not registry.settle()


def test_several_write_the_same_tags_for_the_first_time(shelf: Shelf) -> None:
    name = shelf.model(1)
    client = shelf.client
    together = threading.Barrier(4, timeout=PATIENCE)
    trouble: list[Exception] = []

    def write() -> None:
        try:
            for number in range(20):
                together.wait()
                upsert(client.set_model_version_tag, name, "1", f"tag{number}", "x")
        except Exception as error:
            together.abort()
            trouble.append(error)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(PATIENCE)
    assert trouble == []
    assert len(shelf.tags(name, "1")) == 20
