"""What every family promises, held against each one that is found, and one made up here.

The made-up one is a single file in a temporary folder: that is all that a new family takes.
"""

import inspect
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.core.errors import InvalidInputError
from services.core.settings import Settings, load_settings
from services.families import discover
from services.families.base import Family, Model, Picture, TrainableFamily, predict
from services.ledger.encoding import json_bytes
from tests.families.checks import near, refuse_pickle
from tests.families.queue import through_a_queue
from tests.families.small import Trained, train
from tests.families.throw_away import THROW_AWAY

BAD_ROWS: list[Any] = [
    None, True, 3, "text", [], {}, [[]], [None], [{}], ["a", 1], {"a": 1}, {"": []},
    [[float("nan")] * 20], [[float("inf")] * 20], [["x"] * 20], [[1] * 3], [[True] * 20],
    [[[1]]], [[10**400] * 20], "\ud800", ["\ud800"], [[["deep"]]], {"unknown": [1]},
]  # fmt: skip


def _extra(folder: Path) -> Path:
    (folder / "extra_sign.py").write_text(THROW_AWAY)
    return folder


@pytest.fixture(scope="session")
def families(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Family]]:
    before = set(sys.modules)
    yield discover([_extra(tmp_path_factory.mktemp("families"))])
    for name in set(sys.modules) - before:
        if name.startswith("services.families.extra_"):
            del sys.modules[name]


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load_settings(max_rows=50)


NAMES = [*discover(), "extra-sign"]
TRAINABLE = [
    *(name for name, family in discover().items() if isinstance(family, TrainableFamily)),
    "extra-sign",
]

# A second training of these takes more than a few seconds.
HEAVY = {"sentiment", "shapes"}


@pytest.fixture(scope="session")
def trained(
    families: dict[str, Family], settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Train each family once, when it is first asked for."""
    found: dict[str, Trained] = {}

    def get(name: str) -> Trained:
        family = families[name]
        assert isinstance(family, TrainableFamily)
        if name not in found:
            found[name] = train(family, tmp_path_factory.mktemp(name) / "model", settings)
        return found[name]

    return get


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(families: dict[str, Family], name: str) -> None:
    family = families[name]
    assert family.name == name
    assert family.task and family.task == family.task.lower()
    assert family.takes in ("json", "picture")
    if name != "extra-sign":
        assert inspect.getdoc(type(family))
        assert inspect.getdoc(inspect.getmodule(type(family)))


def test_no_two_answer_to_the_same_call(families: dict[str, Family]) -> None:
    fields = [family.field for family in families.values() if family.field]
    assert len(set(fields)) == len(fields)
    assert sum(family.file for family in families.values()) <= 1
    models = [family.model_name for family in families.values() if family.model_name]
    assert len(set(models)) == len(models)


@pytest.mark.parametrize("name", TRAINABLE)
def test_parameters_have_limits_that_hold_their_default(
    families: dict[str, Family], name: str
) -> None:
    family = families[name]
    assert isinstance(family, TrainableFamily)
    assert family.experiment and family.gates.metric
    names = [parameter.name for parameter in family.parameters]
    assert len(set(names)) == len(names)
    for parameter in family.parameters:
        assert parameter.name.isidentifier() and parameter.help
        kind = type(parameter.default)
        assert kind in (int, float, bool, str)
        if parameter.choices:
            assert parameter.default in parameter.choices
        if isinstance(parameter.default, int | float) and not isinstance(parameter.default, bool):
            assert parameter.low is None or parameter.low <= parameter.default
            assert parameter.high is None or parameter.default <= parameter.high
            assert not parameter.log or (parameter.low or 0) > 0
            if parameter.tune and not parameter.choices:
                assert parameter.low is not None and parameter.high is not None


@pytest.mark.parametrize("name", TRAINABLE)
def test_it_learns_and_is_judged_as_it_is_served(trained: Any, name: str) -> None:
    done: Trained = trained(name)
    assert len(done.split.digest) == 64
    assert min(done.split.rows) > 0
    assert done.rounds and done.rounds[-1][0] == done.rounds[-1][1]
    assert all(math.isfinite(v) for _, _, found in done.rounds for v in found.values())
    metrics = done.family.evaluate(done.model, done.split.held_out)
    assert done.family.gates.metric in metrics
    assert all(0 <= value <= 1 for value in metrics.values())
    json.dumps(dict(done.fitted.config), allow_nan=False)


@pytest.mark.parametrize("name", TRAINABLE)
def test_it_answers_its_example(trained: Any, name: str) -> None:
    done: Trained = trained(name)
    output = predict(done.model, done.fitted.example)
    if not isinstance(done.fitted.example, Picture):
        json.dumps(done.fitted.example, allow_nan=False)
        json.dumps(output, allow_nan=False)
        assert isinstance(output, dict) and output
    scores = done.model.confidences(output)
    assert all(0 <= score <= 1 for score in scores)
    assert done.model.info.family == name and done.model.info.name
    assert done.fitted.signature.inputs


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in HEAVY else n for n in TRAINABLE],
)
def test_same_seed_same_metrics(
    trained: Any, settings: Settings, tmp_path: Path, name: str
) -> None:
    first: Trained = trained(name)
    again = train(first.family, tmp_path / "model", settings)
    try:
        assert again.split.digest == first.split.digest
        assert again.rounds == first.rounds
        metrics = [one.family.evaluate(one.model, one.split.held_out) for one in (first, again)]
        assert metrics[0] == metrics[1]
    finally:
        again.model.close()


def _bodies(family: Family) -> Iterator[Any]:
    yield from (None, [], "text", 3, {}, {"params": {}}, {"unknown": [1]})
    for field in filter(None, (family.field, "inputs")):
        yield from ({field: rows} for rows in BAD_ROWS)
    if family.field:
        yield {family.field: [1.0] * 20, "inputs": [[1.0] * 20]}


@pytest.mark.parametrize("name", TRAINABLE)
def test_bad_payloads_are_refused(trained: Any, settings: Settings, name: str) -> None:
    done: Trained = trained(name)
    if done.family.takes == "picture":
        bad: list[Any] = [Picture(b""), Picture(b"GIF89a"), Picture(b"\x89PNG\r\n\x1a\n")]
    else:
        huge = [[0.0] * 20] * (settings.max_rows + 1)
        bad = [*_bodies(done.family), {"inputs": huge}, {"inputs": ["text"] * len(huge)}]
    for payload in bad:
        if name == "sentiment" and _is_text(payload):
            continue
        with pytest.raises(InvalidInputError) as caught:
            done.model.preprocess(payload)
        assert caught.value.expected, payload


def _is_text(payload: Any) -> bool:
    """Some of what is nonsense elsewhere is a review."""
    if not isinstance(payload, dict) or len(payload) != 1:
        return False
    rows = next(iter(payload.values()))
    return isinstance(rows, str | list) and all(isinstance(row, str) for row in rows)


def _others(done: Trained) -> list[Any]:
    """The example, and payloads like it: with other numbers, or fewer words."""

    def change(value: Any) -> Any:
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            return type(value)(value * 0 + (0 if value else 1))
        if isinstance(value, str):
            return value.split(" ", 1)[-1][::-1]
        if isinstance(value, list):
            return [change(value[0]), *value[1:]] if value else value
        return {key: change(item) for key, item in value.items()}

    example = done.fitted.example
    if done.family.takes == "picture":
        return [example, example]
    return [example, change(example), example]


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_batch_answers_like_one_by_one(trained: Any, name: str) -> None:
    done: Trained = trained(name)
    payloads = _others(done)
    prepared = [done.model.preprocess(payload) for payload in payloads]
    raws = done.model.infer(prepared)
    assert len(raws) == len(prepared)
    for payload, one, raw in zip(payloads, prepared, raws, strict=True):
        assert done.model.rows(one) >= 1
        assert near(done.model.postprocess(one, raw), predict(done.model, payload))


@pytest.mark.parametrize("name", TRAINABLE)
def test_cache_keys_tell_payloads_apart(trained: Any, name: str) -> None:
    done: Trained = trained(name)
    payloads = _others(done)
    keys = [done.model.cache_key(done.model.preprocess(payload)) for payload in payloads]
    assert keys[0] == keys[-1]
    if len(keys) == 3 and keys[0] is not None:
        assert keys[0] != keys[1]


@pytest.mark.parametrize("name", TRAINABLE)
def test_its_answers_can_be_judged(trained: Any, name: str) -> None:
    """As they are on record; a family with an output of its own brings the measures for it."""
    done: Trained = trained(name)
    family = done.family
    output = json.loads(json_bytes(predict(done.model, done.fitted.example)))
    answer = family.comparable(output)
    assert json.loads(json.dumps(answer)) == answer
    labels = family.answered(output)
    if labels is None:
        assert type(family).quality is not Family.quality
        return
    assert len(labels) == done.model.rows(done.model.preprocess(done.fitted.example))
    truth = family.truth(labels, output)
    assert truth == answer == labels
    assert family.right(answer, truth) in (True, None)
    measures = family.quality([(answer, truth)])
    assert measures and all(math.isfinite(value) for value in measures.values())
    with pytest.raises(InvalidInputError) as caught:
        family.truth([*labels, labels[0]], output)
    assert caught.value.where == "expected" and caught.value.expected


@pytest.mark.parametrize("name", NAMES)
def test_no_odd_output_breaks_what_reads_answers(families: dict[str, Family], name: str) -> None:
    odd: list[Any] = [None, [], {}, "text", 3, {"predictions": None}, {"instances": None}, [[{}]]]
    for output in odd:
        assert families[name].answered(output) is None
        assert families[name].comparable(output) is None


@pytest.mark.parametrize("name", TRAINABLE)
def test_outputs_gothrough_a_queue(trained: Any, name: str) -> None:
    done: Trained = trained(name)
    example = done.family.unpack_payload(
        *through_a_queue(done.family.pack_payload(done.fitted.example))
    )
    output = predict(done.model, example)
    found = done.family.unpack_output(*through_a_queue(done.family.pack_output(output)))
    assert type(found) is type(output)
    assert repr(found) == repr(output)


@pytest.mark.parametrize("name", TRAINABLE)
def test_what_it_saves_runs_no_code(trained: Any, name: str) -> None:
    """No file is a pickle, or holds one, unless torch reads it with weights_only."""
    done: Trained = trained(name)
    files = [path for path in done.artifact.folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        refuse_pickle(path.name, path.read_bytes(), path)


def test_the_throw_away_family_is_like_any_other(families: dict[str, Family], trained: Any) -> None:
    assert families["extra-sign"].task == "sign-detection"
    model: Model = trained("extra-sign").model
    assert predict(model, {"point": {"x": -5}})["positive"] is False
