"""Every way of promoting, against a real MLflow server."""

from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

from services.core.errors import ConflictError, NotFoundError
from services.registry.catalogue import RegisteredModel, Stage
from services.registry.registry import Registry
from tests.registry.conftest import Shelf, deprecated
from tests.support.mlflow_server import MlflowServer
from tests.support.patience import PATIENCE


def seen(registry: Registry, name: str) -> RegisteredModel:
    return registry.snapshot().models[name]


def held(model: RegisteredModel) -> tuple[str | None, str | None, str | None]:
    """Return production, previous and staging."""
    refs = (model.production, model.previous, model.staging)
    return tuple(None if ref is None else ref.version for ref in refs)  # type: ignore[return-value]


def seeds_promote(client: MlflowClient, name: str, version: str, stage: str = "Production") -> None:
    with deprecated():
        client.transition_model_version_stage(
            name=name, version=version, stage=stage, archive_existing_versions=True
        )


def test_an_alias_promotes(shelf: Shelf, registry: Registry) -> None:
    name = shelf.model(2)
    assert held(seen(registry, name)) == (None, None, None)
    shelf.client.set_registered_model_alias(name, "production", "1")
    assert held(seen(registry, name)) == ("1", None, None)
    shelf.client.set_registered_model_alias(name, "production", "2")
    model = seen(registry, name)
    assert held(model) == ("2", "1", None)
    assert model.production is not None and model.production.stage is Stage.PRODUCTION
    # The clients of the seeds see the same.
    assert shelf.stage(name, "2") == "Production"
    assert shelf.stage(name, "1") == "Archived"
    with deprecated():
        latest = shelf.client.get_latest_versions(name, stages=["Production"])
    assert [str(version.version) for version in latest] == ["2"]
    assert shelf.tags(name, "1")["stage"] == "archived"
    tags = shelf.tags(name, "2")
    assert tags["stage"] == "production" and tags["stage_since"] and tags["stage_by"]
    assert shelf.aliases(name) == {"production": "2", "previous": "1"}


def test_an_alias_set_over_rest_promotes(
    shelf: Shelf, registry: Registry, mlflow_server: MlflowServer
) -> None:
    name = shelf.model(1)
    answer = httpx.post(
        f"{mlflow_server.uri}/api/2.0/mlflow/registered-models/alias",
        json={"name": name, "alias": "production", "version": "1"},
        timeout=PATIENCE,
    )
    assert answer.is_success, answer.text
    assert held(seen(registry, name)) == ("1", None, None)


def test_the_seeds_transition_promotes(shelf: Shelf, registry: Registry) -> None:
    name = shelf.model(3)
    seeds_promote(shelf.client, name, "1")
    assert held(seen(registry, name)) == ("1", None, None)
    seeds_promote(shelf.client, name, "3")
    assert held(seen(registry, name)) == ("3", "1", None)
    seeds_promote(shelf.client, name, "2")
    assert held(seen(registry, name)) == ("2", "3", None)
    assert shelf.aliases(name) == {"production": "2", "previous": "3"}


def test_the_ways_can_be_mixed(shelf: Shelf, registry: Registry) -> None:
    name = shelf.model(4)
    seeds_promote(shelf.client, name, "1")
    assert held(seen(registry, name))[0] == "1"
    shelf.client.set_registered_model_alias(name, "production", "2")
    assert held(seen(registry, name))[0] == "2"
    seeds_promote(shelf.client, name, "3")
    assert held(seen(registry, name))[0] == "3"
    registry.transition(name, "4", Stage.PRODUCTION, actor="ada")
    assert held(seen(registry, name)) == ("4", "3", None)
    assert shelf.tags(name, "4")["stage_by"] == "ada"
    # Both at once, before anybody looked: the alias is the truth.
    seeds_promote(shelf.client, name, "1")
    shelf.client.set_registered_model_alias(name, "production", "2")
    assert held(seen(registry, name))[0] == "2"
    assert [shelf.stage(name, version) for version in "1234"] == [
        "Archived", "Production", "Archived", "Archived",
    ]  # fmt: skip


def test_a_demotion_by_each_way(shelf: Shelf, registry: Registry) -> None:
    name = shelf.model(1)
    for demote in (
        lambda: shelf.client.delete_registered_model_alias(name, "production"),
        lambda: seeds_move(shelf.client, name, "1", "Archived"),
        lambda: registry.transition(name, "1", Stage.ARCHIVED, actor="ada"),
    ):
        shelf.client.set_registered_model_alias(name, "production", "1")
        assert held(seen(registry, name))[0] == "1"
        demote()
        assert held(seen(registry, name)) == (None, "1", None)
        assert shelf.stage(name, "1") == "Archived"
        assert "production" not in shelf.aliases(name)
        with pytest.raises(NotFoundError):
            registry.find(name)


def seeds_move(client: MlflowClient, name: str, version: str, stage: str) -> None:
    with deprecated():
        client.transition_model_version_stage(name=name, version=version, stage=stage)


def test_a_demoted_version_leaves_nobody_behind_it(shelf: Shelf, registry: Registry) -> None:
    """Two versions in MLflow's stage Production: the older one must not rise when one goes."""
    name = shelf.model(2)
    seeds_move(shelf.client, name, "1", "Production")
    seeds_move(shelf.client, name, "2", "Production")
    assert held(seen(registry, name))[0] == "2"
    assert shelf.stage(name, "1") == "Archived"
    seeds_move(shelf.client, name, "1", "Production")
    registry.transition(name, "2", Stage.NONE, actor="ada")
    assert held(seen(registry, name))[0] is None
    assert shelf.stage(name, "1") == "Archived"
    assert shelf.stage(name, "2") == "None"


def test_staging_and_on_to_production(shelf: Shelf, registry: Registry) -> None:
    name = shelf.model(3)
    registry.transition(name, "1", Stage.PRODUCTION, actor="ada")
    seeds_promote(shelf.client, name, "2", "Staging")
    assert held(seen(registry, name)) == ("1", None, "2")
    assert shelf.aliases(name) == {"production": "1", "staging": "2"}
    assert registry.find(name, stage=Stage.STAGING).version == "2"
    shelf.client.set_registered_model_alias(name, "production", "2")
    assert held(seen(registry, name)) == ("2", "1", None)
    assert shelf.aliases(name) == {"production": "2", "previous": "1"}
    # From production back to staging is a demotion.
    seeds_move(shelf.client, name, "2", "Staging")
    assert held(seen(registry, name)) == (None, "1", "2")


def test_rollback_swaps(shelf: Shelf, registry: Registry) -> None:
    name = shelf.model(2)
    with pytest.raises(ConflictError):
        registry.rollback(name, actor="ada")
    registry.transition(name, "1", Stage.PRODUCTION, actor="ada")
    with pytest.raises(ConflictError):
        registry.rollback(name, actor="ada")
    registry.transition(name, "2", Stage.PRODUCTION, actor="ada")
    assert registry.rollback(name, actor="bob").version == "1"
    assert held(seen(registry, name)) == ("1", "2", None)
    assert registry.rollback(name, actor="bob").version == "2"
    assert held(seen(registry, name)) == ("2", "1", None)
    assert shelf.stage(name, "1") == "Archived"


def test_rollback_of_an_alias_that_nobody_has_followed_yet(
    shelf: Shelf, registry: Registry
) -> None:
    name = shelf.model(3)
    registry.transition(name, "1", Stage.PRODUCTION, actor="ada")
    registry.transition(name, "2", Stage.PRODUCTION, actor="ada")
    shelf.client.set_registered_model_alias(name, "production", "3")
    assert registry.rollback(name, actor="bob").version == "2"
    assert held(seen(registry, name)) == ("2", "3", None)


def test_rollback_after_a_demotion(shelf: Shelf, registry: Registry) -> None:
    name = shelf.model(1)
    registry.transition(name, "1", Stage.PRODUCTION, actor="ada")
    registry.transition(name, "1", Stage.ARCHIVED, actor="ada")
    assert registry.rollback(name, actor="ada").version == "1"
    assert held(seen(registry, name)) == ("1", None, None)


def test_at_rest_nothing_is_written_or_asked_twice(
    shelf: Shelf, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = shelf.model(3)
    registry.transition(name, "1", Stage.PRODUCTION, actor="ada")
    registry.transition(name, "2", Stage.PRODUCTION, actor="ada")
    registry.transition(name, "3", Stage.PRODUCTION, actor="ada")
    registry.transition(name, "1", Stage.PRODUCTION, actor="ada")
    seen(registry, name)
    asked: list[str] = []
    for method in (
        "get_model_version", "get_registered_model", "set_registered_model_alias",
        "set_registered_model_tag", "set_model_version_tag", "transition_model_version_stage",
    ):  # fmt: skip
        original = getattr(MlflowClient, method)

        def counted(self: Any, *args: Any, _call: Any = original, _of: str = method) -> Any:
            if args and args[0] == name:
                asked.append(_of)
            return _call(self, *args)

        monkeypatch.setattr(MlflowClient, method, counted)
    for _ in range(3):
        assert held(seen(registry, name)) == ("1", "3", None)
    assert asked == []
    # The instrument works.
    registry.find(name, "2")
    assert "get_registered_model" in asked
