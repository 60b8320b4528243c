"""The kind with an encoder: the packaged one, and a tiny one made here in its place."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.core.errors import CheckpointError, ConfigurationError
from services.core.settings import load_settings
from services.families.base import Artifact, Fitted, Model, predict
from services.families.sentiment import FAMILY
from services.families.sentiment.encoder import PACKAGED, Encoder, locate

GOOD = ("I love it", "Great food", "An excellent film", "Wonderful staff", "Brilliant, so happy")
BAD = ("I hate it", "Awful food", "A terrible film", "Horrible staff", "Useless, so angry")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.csv"
    rows = [f'"{text}",{label}' for label, part in enumerate((BAD, GOOD)) for text in part]
    path.write_text("text,label\n" + "\n".join(rows))
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of two layers and random weights."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("tiny")
    words = sorted({w.lower().strip(",") for text in GOOD + BAD for w in text.split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=40,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    (folder / "secret.txt").write_text("not a part of the encoder")
    return folder


def _fit(source: Path | None, **params: Any) -> tuple[Fitted, list[tuple[int, int]], Any]:
    chosen = FAMILY.defaults() | {"kind": "bert"} | params
    split = FAMILY.read(source, chosen)
    rounds: list[tuple[int, int]] = []
    fitted = FAMILY.fit(split, chosen, 0, lambda done, of, _: rounds.append((done, of)))
    return fitted, rounds, split


def _open(folder: Path, config: Any) -> Model:
    artifact = Artifact("sentiment", "sentiment-analysis-bert", "1", folder, config=config)
    return FAMILY.open(artifact, load_settings())


@pytest.fixture(scope="module")
def saved(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fitted]:
    folder = tmp_path_factory.mktemp("model")
    fitted, rounds, _ = _fit(texts)
    fitted.save(folder)
    assert rounds == [(1, 2), (2, 2)]
    return folder, fitted


@pytest.fixture(scope="module")
def model(saved: tuple[Path, Fitted]) -> Iterator[Model]:
    found = _open(saved[0], saved[1].config)
    found.warm()
    yield found
    found.close()


def test_it_answers_as_documented(model: Model) -> None:
    answer = predict(model, {"reviews": ["A great film, I love it", "Awful"], "model": "bert"})
    assert answer["model"] == "BERT"
    assert answer["predictions"] == ["Positive", "Negative"]
    assert answer["count"] == 2
    assert answer["confidences"] == model.confidences(answer)


def test_only_the_head_is_saved_with_the_packaged_encoder(saved: tuple[Path, Fitted]) -> None:
    folder, fitted = saved
    assert [path.name for path in folder.iterdir()] == ["head.safetensors"]
    json.dumps(fitted.config)
    assert fitted.config["encoder"]["name"] == PACKAGED


def test_lengths_and_company_do_not_change_an_answer(model: Model) -> None:
    bodies = [{"inputs": [text]} for text in ("Great", "awful " * 300, "fine " * 7, "So " * 30)]
    prepared = [model.preprocess(body) for body in bodies]
    for body, one, raw in zip(bodies, prepared, model.infer(prepared), strict=True):
        alone = predict(model, body)["probabilities"]
        together = model.postprocess(one, raw)["probabilities"]
        assert np.allclose(alone, together, atol=1e-5)


def test_it_asks_nobody(saved: tuple[Path, Fitted], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    opened = _open(saved[0], saved[1].config)
    assert predict(opened, {"reviews": ["fine"]})["count"] == 1
    opened.close()


def test_another_encoder_is_copied_into_the_model(texts: Path, tiny: Path, tmp_path: Path) -> None:
    fitted, _, split = _fit(texts, encoder=str(tiny), layers=2)
    fitted.save(tmp_path)
    assert str(tiny) not in json.dumps(fitted.config)
    inside = {path.name for path in (tmp_path / "encoder").iterdir()}
    assert {"config.json", "model.safetensors"} <= inside
    assert "secret.txt" not in inside
    opened = _open(tmp_path, fitted.config)
    metrics = FAMILY.evaluate(opened, split.held_out)
    assert set(metrics) == {"accuracy", "f1", "majority"}
    opened.close()
    again, _, _ = _fit(texts, encoder=str(tiny), layers=2)
    (tmp_path / "again").mkdir()
    again.save(tmp_path / "again")
    files = [folder / "head.safetensors" for folder in (tmp_path, tmp_path / "again")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_changed_encoder_is_noticed(texts: Path, tiny: Path, tmp_path: Path) -> None:
    fitted, _, _ = _fit(texts, encoder=str(tiny), layers=1)
    fitted.save(tmp_path)
    weights = tmp_path / "encoder" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ConfigurationError, match="not the one"):
        _open(tmp_path, fitted.config)


def test_a_damaged_head_is_refused(saved: tuple[Path, Fitted], tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder, fitted = saved
    good = (folder / "head.safetensors").read_bytes()
    width = 384 * 4
    path = tmp_path / "head.safetensors"
    bias = np.zeros(2, np.float32)
    for weights in (np.zeros((2, 3), np.float32), np.full((2, width), np.nan, np.float32)):
        save_file({"weights": weights, "bias": bias}, path)
        with pytest.raises(CheckpointError):
            _open(tmp_path, fitted.config)
    path.write_bytes(good[:100])
    with pytest.raises(CheckpointError):
        _open(tmp_path, fitted.config)


def test_weights_that_are_pickles_are_refused(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ConfigurationError, match="safe"):
        locate(str(tmp_path))


@pytest.mark.parametrize("name", ["no such name", "../elsewhere"])
def test_an_unknown_encoder_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        locate(name)
    assert caught.value.where == "encoder"


def test_a_name_without_a_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(ConfigurationError, match="Hugging Face"):
        locate("slipway-tests/not-in-any-cache")


def test_more_layers_than_there_are_is_refused(tiny: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        Encoder(tiny, 3, 16)
    assert caught.value.where == "layers"
    assert Encoder(tiny, 2, 4096).max_length == 38


@pytest.mark.slow
def test_it_learns_the_bundled_reviews(tmp_path: Path) -> None:
    fitted, rounds, split = _fit(None)
    assert len(rounds) > 20
    fitted.save(tmp_path)
    opened = _open(tmp_path, fitted.config)
    metrics = FAMILY.evaluate(opened, split.held_out)
    opened.close()
    assert metrics["accuracy"] >= 0.78
    assert metrics["accuracy_plain"] >= 0.84
    assert metrics["accuracy_negation"] >= 0.66
