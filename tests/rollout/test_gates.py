"""Every gate, with real versions in a real registry: good ones pass, each kind of bad one fails."""

import csv
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest

from services.core.errors import InvalidInputError
from services.families import discover
from services.registry.catalogue import VersionRef
from services.registry.registry import Registry
from services.rollout.checks import NAMES, Check, Options, Outcome
from services.rollout.gates import examine
from services.rollout.subject import Bench
from tests.support.versions import SLOW_SECONDS, Shelf


class Gate:
    """Registers kinds of models and examines the newest against the first."""

    def __init__(self, shelf: Shelf, data_dir: Path) -> None:
        self.shelf = shelf
        self.data_dir = data_dir
        self.trusted: tuple[str, ...] = ()

    def __call__(self, *kinds: str, trust: bool = False, **options: Any) -> dict[str, Check]:
        registry = self.shelf.registry(self.data_dir)
        name, refs = self.shelf.register(registry, *kinds)
        settings = self.shelf.settings(self.data_dir, trusted_models=(name,) if trust else ())
        bench = Bench(Registry(settings, discover()), discover(), settings)
        serving: VersionRef | None = refs[-1] if len(refs) > 1 else None
        checks = examine(bench, refs[0], serving, Options(**options))
        assert tuple(check.name for check in checks) == NAMES
        return {check.name: check for check in checks}


@pytest.fixture
def gate(shelf: Shelf, tmp_path: Path) -> Gate:
    return Gate(shelf, tmp_path)


@pytest.fixture
def labelled(shelf: Shelf) -> dict[str, Any]:
    return {"data": shelf.held_out, "target": "kind"}


def outcomes(checks: dict[str, Check]) -> dict[str, str]:
    return {name: str(check.outcome) for name, check in checks.items()}


def failures(checks: dict[str, Check]) -> list[str]:
    return [name for name, check in checks.items() if check.outcome is Outcome.FAILED]


def test_an_equal_version_passes(gate: Gate, labelled: dict[str, Any]) -> None:
    found = gate("classifier", "classifier", **labelled)
    assert set(outcomes(found).values()) == {"passed"}, found
    figures = found["accuracy"].figures
    assert figures["metric"] == "accuracy"
    assert figures["candidate"] == figures["serving"] > 0.9
    assert figures["rows"] == 120
    latency = found["latency"].figures
    assert 0 < latency["median_seconds"] <= latency["p95_seconds"]
    assert latency["ratio"] == latency["median_seconds"] / latency["serving_median_seconds"]


def test_the_first_version_is_only_measured(gate: Gate, labelled: dict[str, Any]) -> None:
    found = gate("classifier", **labelled)
    assert failures(found) == []
    assert "no version serves yet" in found["accuracy"].detail
    assert "serving" not in found["accuracy"].figures


def test_a_worse_version_fails_and_a_better_one_passes(
    gate: Gate, labelled: dict[str, Any]
) -> None:
    worse = gate("classifier", "worse", **labelled)
    assert failures(worse) == ["accuracy"]
    assert worse["accuracy"].figures["candidate"] < 0.1 < worse["accuracy"].figures["serving"]
    assert failures(gate("worse", "classifier", **labelled)) == []


def test_models_of_slipway_bring_their_own_held_out_data(gate: Gate) -> None:
    found = gate("own", "own")
    assert failures(found) == []
    figures = found["accuracy"].figures
    assert (figures["metric"], figures["rows"], figures["data"]) == ("accuracy", 1000, "generated")
    assert figures["candidate"] == figures["serving"] > 0.7
    worse = gate("own", "own-worse")
    assert failures(worse) == ["accuracy"]
    assert worse["accuracy"].figures["candidate"] < 0.5
    assert failures(gate("own-worse", "own")) == []


def test_a_file_of_the_family_stands_in_for_its_data(gate: Gate, tmp_path: Path) -> None:
    """Of a file the family holds out the same part as in training."""
    from services.families.tabular import FAMILY

    held_out = FAMILY.read(None, FAMILY.defaults()).held_out
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow([*(field.name for field in held_out.fields), "label"])
        rows = zip(held_out.rows, held_out.labels, strict=True)
        lines.writerows([*row, label] for row, label in rows)
    named: list[dict[str, Any]] = [{}, {"target": "label"}]
    for options in named:
        figures = gate("own", "own", data=path, **options)["accuracy"].figures
        assert (figures["rows"], figures["data"]) == (250, "table.csv")
    unknown = gate("own", data=path, target="prize")
    assert failures(unknown) == ["accuracy"]


def test_a_tolerance_lets_a_little_less_pass(gate: Gate, shelf: Shelf) -> None:
    data: dict[str, Any] = {"data": shelf.held_out, "target": "price"}
    strict = gate("regressor", "worse-regressor", **data)
    assert failures(strict) == ["accuracy"]
    assert strict["accuracy"].figures["metric"] == "r2"
    assert strict["accuracy"].figures["serving"] == pytest.approx(1.0)
    assert failures(gate("regressor", "worse-regressor", **data, tolerance=0.1)) == []


def test_without_data_a_foreign_model_does_not_pass(gate: Gate) -> None:
    found = gate("classifier", "classifier")
    assert failures(found) == ["accuracy"]
    assert "--data FILE --target COLUMN" in found["accuracy"].detail
    left_out = gate("classifier", "classifier", skip=frozenset({"accuracy"}))
    assert outcomes(left_out)["accuracy"] == "skipped"
    assert failures(left_out) == []


def test_an_incompatible_signature_is_found(gate: Gate, labelled: dict[str, Any]) -> None:
    found = gate("classifier", "renamed", **labelled)
    assert "signature" in failures(found)
    assert "width" in found["signature"].detail
    assert "breadth" in found["signature"].detail


def test_a_slow_model_is_found(gate: Gate, shelf: Shelf) -> None:
    data: dict[str, Any] = {"data": shelf.held_out, "target": "price", "calls": 5}
    found = gate("regressor", "slow", trust=True, max_latency=SLOW_SECONDS / 2, **data)
    assert failures(found) == ["latency"]
    assert found["latency"].figures["median_seconds"] >= SLOW_SECONDS
    assert found["latency"].figures["ratio"] > 1
    assert failures(gate("regressor", "slow", trust=True, max_latency=5.0, **data)) == []


def test_a_model_that_breaks_on_its_example_is_found(gate: Gate, shelf: Shelf) -> None:
    data: dict[str, Any] = {"data": shelf.held_out, "target": "price"}
    found = gate("regressor", "broken", trust=True, **data)
    assert {"example", "accuracy", "latency"} <= set(failures(found)) or "loads" in failures(found)
    assert "1 / 0" not in "".join(check.detail for check in found.values())


def test_an_answer_without_a_number_is_no_answer(gate: Gate, shelf: Shelf) -> None:
    found = gate("endless", trust=True, data=shelf.held_out, target="price")
    assert "example" in failures(found)


def test_a_model_without_an_example_cannot_be_timed(gate: Gate, labelled: dict[str, Any]) -> None:
    found = gate("bare", **labelled)
    assert {"example", "latency"} <= set(failures(found))
    assert "input_example" in found["example"].detail


def test_an_untrusted_pickle_is_not_opened(gate: Gate, labelled: dict[str, Any]) -> None:
    found = gate("pickled", **labelled)
    assert failures(found) == ["loads"]
    assert "TRUSTED_MODELS" in found["loads"].detail
    assert set(outcomes(found).values()) == {"failed", "skipped"}
    assert failures(gate("pickled", trust=True, **labelled)) == []


def test_a_serving_version_that_does_not_open_cannot_be_compared_with(
    gate: Gate, labelled: dict[str, Any]
) -> None:
    found = gate("pickled", "classifier", **labelled)
    assert failures(found) == ["signature", "accuracy"]
    assert "--skip accuracy" in found["accuracy"].detail
    skip = frozenset({"signature", "accuracy"})
    assert failures(gate("pickled", "classifier", skip=skip, **labelled)) == []


def test_memory_is_given_back(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = shelf.registry(tmp_path)
    _, refs = shelf.register(registry, "classifier", "classifier")
    bench = Bench(registry, discover(), shelf.settings(tmp_path))
    seen: list[weakref.ref[Any]] = []
    original = Bench.open

    def remember(self: Bench, ref: VersionRef, opened: list[Any]) -> Any:
        subject = original(self, ref, opened)
        seen.append(weakref.ref(subject.model))
        return subject

    monkeypatch.setattr(Bench, "open", remember)
    examine(bench, refs[0], refs[1], Options(data=shelf.held_out, target="kind"))
    gc.collect()
    assert len(seen) == 2
    assert [model() for model in seen] == [None, None]


@pytest.mark.parametrize(
    ("options", "where"),
    [({"skip": frozenset({"luck"})}, "--skip"), ({"target": "kind"}, "--data")],
)
def test_options_that_make_no_sense(options: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        Options(**options)
    assert refused.value.where == where
