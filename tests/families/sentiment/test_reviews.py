"""The bundled reviews are what their card says: varied, balanced, and not for a bag of words."""

import csv
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from services.families.sentiment.data import REVIEWS, bundled

CARD = Path(__file__).parents[3] / "docs" / "datasets" / "reviews.md"
Review = dict[str, str]


@pytest.fixture(scope="module")
def reviews() -> list[Review]:
    with REVIEWS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def test_there_are_enough_and_they_are_balanced(reviews: list[Review]) -> None:
    assert len(reviews) >= 1200
    share = sum(review["label"] == "positive" for review in reviews) / len(reviews)
    assert 0.45 <= share <= 0.55
    for device in ("plain", "negation", "contrast"):
        labels = [review["label"] for review in reviews if review["device"] == device]
        assert 0.4 <= labels.count("positive") / len(labels) <= 0.6, device


def test_values_are_those_of_the_card(reviews: list[Review]) -> None:
    assert {review["label"] for review in reviews} == {"positive", "negative"}
    assert {review["tone"] for review in reviews} == {"mild", "strong"}
    assert {r["device"] for r in reviews} == {"plain", "negation", "contrast", "sarcasm"}
    assert all(review["text"] == review["text"].strip() != "" for review in reviews)


def test_none_is_there_twice(reviews: list[Review]) -> None:
    counts = Counter(" ".join(_words(review["text"])) for review in reviews)
    assert [text for text, count in counts.items() if count > 1] == []


def test_few_share_whole_phrases(reviews: list[Review]) -> None:
    holders: dict[tuple[str, ...], list[int]] = {}
    grams = []
    for index, review in enumerate(reviews):
        words = _words(review["text"])
        found = {tuple(words[i : i + 5]) for i in range(len(words) - 4)} or {tuple(words)}
        grams.append(found)
        for gram in found:
            holders.setdefault(gram, []).append(index)
    pairs = {pair for held in holders.values() for pair in combinations(held, 2)}
    alike = [
        p for p in pairs if len(grams[p[0]] & grams[p[1]]) / len(grams[p[0]] | grams[p[1]]) >= 0.5
    ]
    assert len(alike) <= len(reviews) / 100


def test_those_alike_are_in_one_group(reviews: list[Review]) -> None:
    """Sentences made as opposites of each other must not be parted by the split."""
    vocabulary = {word: i for i, word in enumerate({w for r in reviews for w in _words(r["text"])})}
    table = np.zeros((len(reviews), len(vocabulary)), np.float32)
    for row, review in zip(table, reviews, strict=True):
        row[[vocabulary[word] for word in _words(review["text"])]] = 1
    shared = table @ table.T
    sizes = table.sum(axis=1)
    alike = shared / (sizes[:, None] + sizes[None, :] - shared)
    for one, other in zip(*np.where(np.triu(alike, 1) >= 0.5), strict=True):
        assert reviews[one]["group"] == reviews[other]["group"] != ""


def test_they_are_varied(reviews: list[Review]) -> None:
    assert len({word for review in reviews for word in _words(review["text"])}) >= 2500
    openings = Counter(tuple(_words(review["text"])[:3]) for review in reviews)
    assert len(openings) >= 0.8 * len(reviews)
    assert len({review["topic"] for review in reviews}) >= 15
    lengths = [len(_words(review["text"])) for review in reviews]
    assert min(lengths) <= 2 and max(lengths) >= 25
    assert sum(review["text"].endswith("?") for review in reviews) >= 20
    assert sum(review["text"][0].islower() for review in reviews) >= 40


def test_many_turn_on_negation_or_contrast(reviews: list[Review]) -> None:
    share = {key: n / len(reviews) for key, n in Counter(r["device"] for r in reviews).items()}
    assert share["negation"] >= 0.2
    assert share["contrast"] >= 0.15
    assert share["sarcasm"] <= 0.05
    tones = Counter(review["tone"] for review in reviews)
    assert min(tones.values()) / len(reviews) >= 0.2


def test_a_bag_of_words_does_not_solve_them() -> None:
    """Of plain sentences single words get most; of those that turn on structure far fewer."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    split = bundled()
    bag = make_pipeline(CountVectorizer(binary=True), LogisticRegression(max_iter=1000))
    found = bag.fit(split.train.texts, split.train.labels).predict(split.held_out.texts)
    right = np.array(split.held_out.labels) == found
    plain = np.array([device == "plain" for device in split.held_out.devices])
    assert right[plain].mean() >= 0.7
    assert right[~plain].mean() <= right[plain].mean() - 0.1


def test_the_card_has_licence_and_count(reviews: list[Review]) -> None:
    card = CARD.read_text(encoding="utf-8")
    assert card.startswith("# ")
    assert "Licence: MIT" in card.split("\n\n")[1]
    assert f"{len(reviews):,} sentences" in card
