"""Who holds a stage, whatever says so."""

import pytest

from services.core.errors import InvalidInputError
from services.registry.catalogue import Stage
from services.registry.stages import Holders, Signals, parse_stage, resolve


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("production", Stage.PRODUCTION),
        (" Production ", Stage.PRODUCTION),
        ("STAGING", Stage.STAGING),
        ("None", Stage.NONE),
        ("development", Stage.NONE),
        ("Archived", Stage.ARCHIVED),
    ],
)
def test_a_stage_in_any_spelling(text: str, stage: Stage) -> None:
    assert parse_stage(text) is stage


@pytest.mark.parametrize("text", ["", "prod uction", "5", "\0"])
def test_what_is_no_stage(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_stage(text)
    assert caught.value.where == "stage"


@pytest.mark.parametrize(
    ("alias", "legacy", "known", "holder"),
    [
        (None, None, None, None),
        ("1", None, None, "1"),  # first contact, alias
        (None, "1", None, "1"),  # first contact, MLflow's stage
        ("1", "2", None, "1"),  # first contact, both: the alias is the truth
        ("1", "1", "1", "1"),  # at rest
        ("2", "1", "1", "2"),  # alias moved
        ("1", "2", "1", "2"),  # MLflow's stage moved
        ("2", "3", "1", "2"),  # both moved
        (None, "1", "1", None),  # alias deleted
        ("1", None, "1", None),  # archived in MLflow
        ("2", "2", "1", "2"),  # cut between two writes
    ],
)
def test_whoever_was_changed_wins(
    alias: str | None, legacy: str | None, known: str | None, holder: str | None
) -> None:
    assert Signals(alias, legacy, known).holder == holder


def test_a_version_in_production_is_not_in_staging_too() -> None:
    assert resolve(Signals("2", "1", "1"), Signals("2", "2", "2")) == Holders("2", None)
