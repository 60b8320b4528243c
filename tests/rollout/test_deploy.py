"""Deployment: only what passes moves, and only if nothing else moved meanwhile."""

from pathlib import Path
from typing import Any

import pytest

from services.core.errors import ConflictError, NotFoundError
from services.families import discover
from services.registry.catalogue import Stage
from services.registry.registry import Registry
from services.rollout.checks import Options
from services.rollout.deploy import Order, Report, deploy
from tests.support.versions import Shelf


class Yard:
    """A registry and what deploys into it."""

    def __init__(self, shelf: Shelf, data_dir: Path) -> None:
        self.shelf = shelf
        self.settings = shelf.settings(data_dir)
        self.registry = Registry(self.settings, discover())
        self.options = Options(data=shelf.held_out, target="kind", calls=5)

    def model(self, *kinds: str, **values: Any) -> str:
        return self.shelf.register(self.registry, *kinds, **values)[0]

    def deploy(self, name: str, version: str, *, confirm: Any = None, **order: Any) -> Report:
        extra = {} if confirm is None else {"confirm": confirm}
        wanted = Order(name, version, **{"options": self.options, **order})
        return deploy(self.registry, discover(), self.settings, wanted, **extra)

    def stages(self, name: str) -> dict[str, str]:
        return {ref.version: str(ref.stage) for ref in self.registry.versions(name)}


@pytest.fixture
def yard(shelf: Shelf, tmp_path: Path) -> Yard:
    return Yard(shelf, tmp_path)


def test_from_development_over_staging_to_production(yard: Yard) -> None:
    name = yard.model("classifier", "classifier", production="1")
    report = yard.deploy(name, "2", source=Stage.NONE)
    assert (report.passed, report.promoted, report.to) == (True, True, Stage.STAGING)
    assert report.serving == "1"
    assert yard.stages(name) == {"1": "production", "2": "staging"}
    assert yard.deploy(name, "2", source=Stage.STAGING).promoted
    assert yard.stages(name) == {"1": "archived", "2": "production"}


def test_what_fails_stays(yard: Yard) -> None:
    name = yard.model("classifier", "worse", production="1")
    report = yard.deploy(name, "2", to=Stage.PRODUCTION)
    assert (report.passed, report.promoted) == (False, False)
    assert yard.stages(name) == {"1": "production", "2": "none"}


def test_a_dry_run_changes_nothing(yard: Yard) -> None:
    name = yard.model("classifier", "classifier", production="1")
    before = yard.stages(name)
    report = yard.deploy(name, "2", dry_run=True)
    assert (report.passed, report.promoted) == (True, False)
    assert yard.stages(name) == before


def test_a_no_is_a_no(yard: Yard) -> None:
    name = yard.model("classifier")
    report = yard.deploy(name, "1", confirm=lambda _: False)
    assert (report.passed, report.promoted) == (True, False)
    assert yard.stages(name) == {"1": "none"}


def test_a_tag_names_a_version(yard: Yard) -> None:
    name = yard.model("classifier", tags={"version": "2.0.0"})
    assert yard.deploy(name, "2.0.0").version == "1"


@pytest.mark.parametrize("order", [{"source": Stage.STAGING}, {"to": Stage.NONE}])
def test_nothing_is_examined_that_is_not_where_it_should_be(
    yard: Yard, order: dict[str, Any]
) -> None:
    name = yard.model("classifier")
    with pytest.raises(ConflictError):
        yard.deploy(name, "1", **order)


def test_unknown_models_and_versions(yard: Yard) -> None:
    name = yard.model("classifier")
    with pytest.raises(NotFoundError) as refused:
        yard.deploy(name.upper(), "1")
    assert refused.value.expected is not None and name in refused.value.expected
    with pytest.raises(NotFoundError):
        yard.deploy(name, "7")


def test_another_promotion_meanwhile_stops_it(yard: Yard) -> None:
    name = yard.model("classifier", "classifier", "classifier", production="1")

    def overtaken(_: Report) -> bool:
        yard.registry.transition(name, "3", Stage.PRODUCTION, actor="somebody else")
        return True

    with pytest.raises(ConflictError, match="version 3 holds it now"):
        yard.deploy(name, "2", confirm=overtaken, to=Stage.PRODUCTION)
    assert yard.stages(name) == {"1": "archived", "2": "none", "3": "production"}


def test_the_version_itself_moved_meanwhile(yard: Yard) -> None:
    name = yard.model("classifier", "classifier", production="1")

    def archived(_: Report) -> bool:
        yard.registry.transition(name, "2", Stage.ARCHIVED, actor="somebody else")
        return True

    with pytest.raises(ConflictError, match="moved to archived"):
        yard.deploy(name, "2", confirm=archived)
    assert yard.stages(name) == {"1": "production", "2": "archived"}
