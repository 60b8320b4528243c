"""The kind that weighs words: learns, saves safely, answers as the documents say."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.core.errors import CheckpointError, UntrustedModelError
from services.core.settings import load_settings
from services.families.base import Artifact, Fitted, Model, predict
from services.families.sentiment import FAMILY

SEED_ANSWER = {"model": "TF-IDF", "predictions": ["Positive", "Negative"], "count": 2}


def open_saved(fitted: Fitted, folder: Path) -> Model:
    folder.mkdir()
    fitted.save(folder)
    return FAMILY.open(
        Artifact("sentiment", "sentiment-analysis-tfidf", "1", folder, config=fitted.config),
        load_settings(),
    )


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    params = FAMILY.defaults()
    return FAMILY.fit(FAMILY.read(None, params), params, 0, lambda *_: None)


@pytest.fixture
def model(fitted: Fitted, tmp_path: Path) -> Model:
    return open_saved(fitted, tmp_path / "model")


def test_it_answers_as_documented(model: Model) -> None:
    body = {"reviews": ["This movie was amazing!", "Terrible film, waste of time."]}
    answer = predict(model, body)
    assert {key: answer[key] for key in SEED_ANSWER} == SEED_ANSWER
    assert answer["confidences"] == model.confidences(answer)
    assert all(0.5 <= score <= 1 for score in answer["confidences"])
    rows = predict(model, {"inputs": body["reviews"]})
    assert rows["predictions"] == answer["predictions"]
    assert rows["classes"] == ["Negative", "Positive"]
    assert [max(row) for row in rows["probabilities"]] == answer["confidences"]


def test_it_knows_not_good_from_not_bad(model: Model) -> None:
    texts = ["Not bad at all!", "Not good at all!", "Great start, but the ending ruined it."]
    assert predict(model, {"reviews": texts})["predictions"] == ["Positive", "Negative", "Negative"]


def test_it_is_well_above_guessing(model: Model) -> None:
    metrics = FAMILY.evaluate(model, FAMILY.read(None, FAMILY.defaults()).held_out)
    assert metrics["majority"] <= 0.55
    assert metrics["accuracy"] >= 0.70
    assert metrics["accuracy_plain"] >= 0.78
    assert metrics["accuracy_negation"] >= 0.58


def test_requests_share_a_batch_and_get_their_own_rows(model: Model) -> None:
    bodies: list[dict[str, Any]] = [
        {"reviews": ["Wonderful."]},
        {"inputs": ["Awful.", "Great food!"]},
        {"reviews": ["So dull."]},
    ]
    prepared = [model.preprocess(body) for body in bodies]
    assert [model.rows(one) for one in prepared] == [1, 2, 1]
    answers = list(map(model.postprocess, prepared, model.infer(prepared)))
    assert answers == [predict(model, body) for body in bodies]


def test_more_than_two_classes_keep_their_names(tmp_path: Path) -> None:
    words = {"sport": "goal match", "food": "soup bread", "music": "song drum"}
    rows = "".join(f"{w} number {i},{label}\n" for label, w in words.items() for i in range(6))
    path = tmp_path / "topics.csv"
    path.write_text("text,label\n" + rows)
    params = FAMILY.defaults() | {"max_features": 100, "ngram_max": 1}
    split = FAMILY.read(path, params)
    model = open_saved(FAMILY.fit(split, params, 0, lambda *_: None), tmp_path / "model")
    answer = predict(model, {"inputs": ["bread and soup", "a drum"]})
    assert answer["classes"] == ["food", "music", "sport"]
    assert answer["predictions"] == ["food", "music"]
    assert FAMILY.evaluate(model, split.held_out)["accuracy"] == 1


def test_the_saved_file_is_small(fitted: Fitted, tmp_path: Path) -> None:
    """skops would keep each number of the vocabulary in a file of its own: seconds to open."""
    fitted.save(tmp_path)
    path = tmp_path / "model.skops"
    assert path.stat().st_size < 1_500_000
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) < 20


def _break_config(folder: Path) -> dict[str, Any]:
    return {"kind": "lstm", "classes": ["a", "b"]}


def _other_classes(folder: Path) -> dict[str, Any]:
    return {"kind": "tfidf", "classes": ["a", "b", "c"]}


def _cut(folder: Path) -> dict[str, Any]:
    path = folder / "model.skops"
    path.write_bytes(path.read_bytes()[:1000])
    return {"kind": "tfidf", "classes": ["a", "b"]}


def _gone(folder: Path) -> dict[str, Any]:
    (folder / "model.skops").unlink()
    return {"kind": "tfidf", "classes": ["a", "b"]}


@pytest.mark.parametrize("damage", [_break_config, _other_classes, _cut, _gone])
def test_what_does_not_fit_is_refused(
    fitted: Fitted, tmp_path: Path, damage: Callable[[Path], dict[str, Any]]
) -> None:
    fitted.save(tmp_path)
    artifact = Artifact("sentiment", "any", "1", tmp_path, config=damage(tmp_path))
    with pytest.raises(CheckpointError):
        FAMILY.open(artifact, load_settings())


def test_a_hostile_type_is_refused(fitted: Fitted, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["schema.json"] = parts["schema.json"].replace(b'"LogisticRegression"', b'"Popen"')
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    artifact = Artifact("sentiment", "any", "1", tmp_path, config=fitted.config)
    with pytest.raises(UntrustedModelError):
        FAMILY.open(artifact, load_settings())
