"""Which version is meant, and where it goes."""

import pytest

from services.core.errors import ConflictError, NotFoundError
from services.registry.catalogue import Stage, VersionRef
from services.rollout import choose


def ref(version: str, stage: Stage = Stage.NONE, tag: str | None = None) -> VersionRef:
    tags = {} if tag is None else {"version": tag}
    return VersionRef("iris", version, "models:/m-1", 1, stage=stage, tags=tags)


def test_a_number_wins_over_a_tag() -> None:
    versions = [ref("3", tag="2"), ref("2", tag="2.0.0"), ref("1", tag="1.0.0")]
    assert choose.version(versions, "2").version == "2"
    assert choose.version(versions, "1.0.0").version == "1"


def test_a_tag_that_two_carry_names_none() -> None:
    with pytest.raises(ConflictError) as refused:
        choose.version([ref("3", tag="2.0"), ref("2", tag="2.0")], "2.0")
    assert refused.value.expected == "one of 3, 2"


def test_what_there_is_is_named() -> None:
    with pytest.raises(NotFoundError) as refused:
        choose.version([ref("2", tag="2.0.0"), ref("1")], "9")
    assert refused.value.expected == "2 (2.0.0), 1"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("mnistclassifer", "MNISTClassifier"),
        ("ml-classifier", "ml_classifier"),
        ("zzz", "MNISTClassifier, custom_cnn, ml_classifier"),
    ],
)
def test_close_names_are_offered(wanted: str, expected: str) -> None:
    error = choose.model(["ml_classifier", "MNISTClassifier", "custom_cnn"], wanted)
    assert error.expected is not None and error.expected.split(", ")[0] == expected.split(", ")[0]
    if wanted == "zzz":
        assert error.expected == expected


def test_the_way_to_production() -> None:
    assert choose.target(ref("1"), None) is Stage.STAGING
    assert choose.target(ref("1", Stage.STAGING), None) is Stage.PRODUCTION
    assert choose.target(ref("1", Stage.ARCHIVED), Stage.PRODUCTION) is Stage.PRODUCTION
    assert choose.target(ref("1", Stage.PRODUCTION), Stage.STAGING) is Stage.STAGING


@pytest.mark.parametrize(
    ("stage", "to", "word"),
    [
        (Stage.ARCHIVED, None, "is archived"),
        (Stage.PRODUCTION, None, "is in production already"),
        (Stage.STAGING, Stage.STAGING, "is in staging already"),
    ],
)
def test_no_way(stage: Stage, to: Stage | None, word: str) -> None:
    with pytest.raises(ConflictError, match=word):
        choose.target(ref("1", stage), to)


def test_it_has_to_be_where_it_is_said_to_be() -> None:
    choose.require(ref("1", Stage.STAGING), Stage.STAGING)
    choose.require(ref("1"), Stage.NONE)
    choose.require(ref("1", Stage.ARCHIVED), None)
    with pytest.raises(ConflictError, match="is in none, not in staging"):
        choose.require(ref("1"), Stage.STAGING)
