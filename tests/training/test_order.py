"""What is asked to be trained, as a job carries it."""

import json
from typing import Any

import pytest

from services.core.errors import InvalidInputError
from services.families import discover
from services.families.base import TrainableFamily
from services.registry.catalogue import Stage
from services.training.order import Order, Search, checked, named, variants

FAMILIES = discover()


def test_an_order_comes_back_from_json_as_it_was() -> None:
    plain = Order("digits", {"epochs": 3}, "MNIST_Experiments", 7, True, Stage.PRODUCTION, "1.0")
    sweeping = Order("tabular", {}, "tables", search=Search(10, "tpe", 4))
    for order in (plain, sweeping):
        # A job's row has more options than these one day.
        kept = json.loads(json.dumps({**order.as_json(), "payload": None}))
        assert Order.from_json(kept) == order


@pytest.mark.parametrize(
    ("name", "family", "implied"),
    [
        ("digits", "digits", {}),
        ("MNISTClassifier", "digits", {}),
        ("sentiment-analysis-tfidf", "sentiment", {}),
        ("sentiment-analysis-bert", "sentiment", {"kind": "bert"}),
        ("custom_cnn", "shapes", {}),
        ("ml_classifier", "tabular", {}),
    ],
)
def test_a_family_is_found_by_its_name_and_its_models(
    name: str, family: str, implied: dict[str, Any]
) -> None:
    found, params = named(FAMILIES, name)
    assert (found.name, params) == (family, implied)


@pytest.mark.parametrize("name", ["cutler", "pyfunc", "nothing", ""])
def test_what_is_not_trained_is_refused_with_what_is(name: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        named(FAMILIES, name)
    assert refused.value.where == "family"
    assert "digits" in str(refused.value.expected)


def test_every_parameter_of_an_order_is_decided() -> None:
    family, _ = named(FAMILIES, "digits")
    assert checked(family, {"epochs": 3}) == {**family.defaults(), "epochs": 3}


def test_a_sweep_keeps_only_what_is_given() -> None:
    family, _ = named(FAMILIES, "digits")
    assert checked(family, {"learning_rate": 1e-3}, varying=True) == {"learning_rate": 1e-3}
    everything = {p.name: p.default for p in family.parameters if p.tune}
    with pytest.raises(InvalidInputError) as refused:
        checked(family, everything, varying=True)
    assert refused.value.where == "fixed"


@pytest.mark.parametrize("name", ["encoder", "text_column", "label_column"])
def test_nothing_of_the_machine_is_named_from_elsewhere(name: str) -> None:
    family, _ = named(FAMILIES, "sentiment")
    checked(family, {name: family.defaults()[name]})
    with pytest.raises(InvalidInputError) as refused:
        checked(family, {name: "/etc"})
    assert refused.value.where == name


def test_no_parameter_of_a_family_is_called_like_a_field_of_the_request() -> None:
    from services.gateway.schemas_training import TrainRequest

    taken = {*TrainRequest.model_fields, "register", "model_name"}
    for family, _ in variants(FAMILIES).values():
        assert isinstance(family, TrainableFamily)
        assert not taken & {parameter.name for parameter in family.parameters}, family.name
