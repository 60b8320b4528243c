from typing import Any

import numpy as np
import pytest

from services.core.errors import InvalidInputError, PayloadTooLargeError
from services.core.settings import load_settings
from services.families.sentiment import FAMILY
from services.families.sentiment.payload import MAX_CHARACTERS, read_texts


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": ["good", "bad"]},
        {"inputs": [{"text": "good"}, {"text": "bad"}]},
        {"inputs": [["good"], ["bad"]]},
        {"inputs": {"text": ["good", "bad"]}},
        {"inputs": np.array(["good", "bad"], object)},
        {"inputs": ["good", "bad"], "params": {}, "model": "TfIdf"},
    ],
)
def test_inputs_have_many_forms(body: dict[str, Any]) -> None:
    prepared = read_texts(body, "tfidf", 10)
    assert prepared.texts == ("good", "bad")
    assert not prepared.reviews


def test_reviews_are_a_list_of_texts() -> None:
    prepared = read_texts({"reviews": ["Ça va 👍"], "model": " BERT "}, "bert", 10)
    assert prepared.texts == ("Ça va 👍",)
    assert prepared.reviews


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"reviews": "one text"}, "reviews"),
        ({"reviews": []}, "reviews"),
        ({"reviews": ["fine", " \n"]}, "reviews[1]"),
        ({"reviews": ["fine", None]}, "reviews[1]"),
        ({"reviews": [{"text": "fine"}]}, "reviews[0]"),
        ({"reviews": ["half \ud800"]}, "reviews[0]"),
        ({"inputs": [{"text": "fine"}, {"text": 3}]}, "inputs[1].text"),
        ({"inputs": [{"review": "fine"}]}, "inputs[0]"),
        ({"inputs": [["fine", "more"]]}, "inputs[0]"),
        ({"inputs": [[1]]}, "inputs[0][0]"),
        ({"inputs": {"text": ["fine", ""]}}, "inputs.text[1]"),
        ({"inputs": {"words": ["fine"]}}, "inputs"),
        ({"inputs": {"text": "fine"}}, "inputs.text"),
        ({"reviews": ["fine"], "params": {"a": 1}}, "params"),
        ({"reviews": ["fine"], "model": "gpt"}, "model"),
        ({"reviews": ["fine"], "model": 7}, "model"),
        ({"reviews": ["fine"], "model": "bert"}, "model"),
        ({"reviews": ["fine"], "inputs": ["fine"]}, "body"),
        ({"reviews": ["fine"], "extra": 1}, "body.extra"),
        (["fine"], "body"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(body: Any, where: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_texts(body, "tfidf", 10)
    assert caught.value.where == where
    assert caught.value.expected
    assert "fine" not in caught.value.message


def test_sizes_are_bounded() -> None:
    with pytest.raises(PayloadTooLargeError):
        read_texts({"reviews": ["a"] * 11}, "tfidf", 10)
    with pytest.raises(PayloadTooLargeError):
        read_texts({"reviews": ["a" * (MAX_CHARACTERS + 1)]}, "tfidf", 10)
    assert len(read_texts({"reviews": ["a" * MAX_CHARACTERS] * 10}, "tfidf", 10).texts) == 10


def test_keys_tell_where_a_text_ends_and_what_form_is_asked_for() -> None:
    bodies: list[dict[str, Any]] = [
        {"reviews": ["a", "b"]}, {"reviews": ["ab"]}, {"inputs": ["a", "b"]}, {"reviews": ["1:a"]},
    ]  # fmt: skip
    keys = {read_texts(body, "tfidf", 10).key() for body in bodies}
    assert len(keys) == len(bodies)
    assert read_texts(bodies[0], "tfidf", 10).key() in keys


def test_the_body_names_the_registered_model() -> None:
    settings = load_settings()
    for asked, name in ((None, "tfidf"), ("tfidf", "tfidf"), ("BERT", "bert"), ("TFIDF", "tfidf")):
        body = {"reviews": ["fine"]} | ({} if asked is None else {"model": asked})
        assert FAMILY.model_for(body, settings) == f"sentiment-analysis-{name}"
    with pytest.raises(InvalidInputError) as caught:
        FAMILY.model_for({"reviews": ["fine"], "model": "lstm"}, settings)
    assert caught.value.where == "model"


def test_names_go_with_kinds() -> None:
    assert FAMILY.registered_name(FAMILY.defaults()) == "sentiment-analysis-tfidf"
    assert FAMILY.registered_name({"kind": "bert"}) == "sentiment-analysis-bert"
