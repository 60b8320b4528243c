"""Looks at a version in a real MLflow, with records in a real database: verdicts, tags, history."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete

from services.core.errors import RegistryUnavailableError
from services.ledger.database import drift, job_tables, tables
from services.monitoring.drift_collector import MOST_FEATURES, DriftCollector, scores
from services.monitoring.drift_watch import Watcher
from services.registry import baselines
from services.registry.catalogue import Stage
from tests.conftest import settings_for_tests
from tests.support.drift_scene import FAMILIES, NAME, SHIFTED, Scene
from tests.support.mlflow_server import free_port
from tests.support.patience import PATIENCE
from tests.training.store import client, mlflow_template

__all__ = ["mlflow_template"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("drift"), mlflow_template)
    yield made
    made.database.close()


@pytest.fixture(autouse=True)
def _empty(scene: Scene) -> Iterator[None]:
    yield
    with scene.database.begin() as connection:
        for table in (tables.predictions, tables.drift_states, tables.drift_history):
            connection.execute(delete(table))
        connection.execute(delete(job_tables.leases))
    there = client(scene.settings)
    for name in scene.ref.tags:
        if name.startswith("slipway.drift"):
            there.delete_model_version_tag(NAME, "1", name)


def test_training_leaves_a_baseline_and_a_version_inherits_it(scene: Scene) -> None:
    address = client(scene.settings).get_run(scene.run_id).data.tags[baselines.TAG]
    assert address.startswith(f"runs:/{scene.run_id}/drift/baseline-")
    assert baselines.TAG not in scene.ref.tags
    state = scene.look()
    assert (state.verdict, state.samples, state.missing) == ("not_enough_data", 0, 100)
    assert state.stage == "production"
    assert scene.ref.tags[baselines.TAG] == address
    assert state.report["baseline"]["source"] == address
    # What the model was judged by: the held-out quarter.
    assert state.report["baseline"]["rows"] == 500


def test_the_same_distribution_is_fine_and_mlflow_says_so(scene: Scene) -> None:
    scene.ask(0, 400)
    state = scene.look()
    assert (state.verdict, state.samples, state.since, state.told) == ("ok", 400, None, "ok")
    assert state.score is not None and state.score < 1
    assert replace(scene.state(), report=None) == replace(state, report=None)
    tags = scene.ref.tags
    assert tags["slipway.drift"] == "ok"
    assert float(tags["slipway.drift_score"]) == pytest.approx(state.score, rel=0.01, abs=1e-3)
    assert state.report["window"]["inputs"] == "recorded"


def test_a_shift_is_found_named_and_told_and_its_end_too(scene: Scene) -> None:
    scene.ask(0, 200)
    assert scene.look().verdict == "ok"
    scene.ask(200, 500, shift=3.0)
    state = scene.look()
    assert (state.verdict, state.told) == ("drift", "drift")
    assert state.score is not None and state.score >= 1
    drifted = [one["feature"] for one in state.report["drift"]["features"] if one["drifted"]]
    assert set(SHIFTED) <= set(drifted)
    tags = scene.ref.tags
    assert tags["slipway.drift"] == "drift"
    assert tags["slipway.drift_since"].startswith("20")
    # It is the same drift, however often it is looked at.
    scene.ask(700, 10, shift=3.0)
    assert scene.look().since == state.since
    scene.ask(710, 500)
    over = scene.look()
    assert (over.verdict, over.since) == ("ok", None)
    assert (scene.ref.tags["slipway.drift"], scene.ref.tags["slipway.drift_since"]) == ("ok", "")


def test_nothing_new_is_no_look(scene: Scene) -> None:
    scene.ask(0, 120)
    watcher = scene.watcher()
    (first,) = watcher.look(NAME)
    (second,) = watcher.look(NAME)
    assert second.checked > first.checked
    assert second.score == first.score
    with scene.database.reading() as connection:
        assert len(drift.history(connection, (NAME, "1"), 10)) == 1
    watcher.look(NAME, anew=True)
    with scene.database.reading() as connection:
        assert len(drift.history(connection, (NAME, "1"), 10)) == 2


def test_one_of_several_processes_acts(scene: Scene) -> None:
    one, two = scene.watcher("one"), scene.watcher("two")
    assert [one.turn(), two.turn(), one.turn()] == [True, False, True]


def test_a_version_without_a_run_has_no_baseline_until_it_gets_one(scene: Scene) -> None:
    source = scene.ref
    there = client(scene.settings)
    there.create_registered_model("foreign")
    try:
        there.create_model_version("foreign", source=source.source, await_creation_for=0)
        scene.registry.transition("foreign", "1", Stage.STAGING, actor="test")
        watcher = scene.watcher()
        (state,) = watcher.look("foreign")
        assert (state.verdict, state.stage, state.score) == ("no_baseline", "staging", None)
        ref = scene.registry.find("foreign", "1")
        made = baselines.get(scene.settings, _address(scene))
        address = baselines.attach(scene.settings, ref, made)
        (state,) = watcher.look("foreign")
        assert state.verdict == "not_enough_data"
        assert baselines.get(scene.settings, address) == made
        # Another one takes its place; what lies nowhere is none.
        baselines.tag(scene.settings, ref, {baselines.TAG: f"runs:/{'0' * 32}/drift/x.npz"})
        (state,) = watcher.look("foreign")
        assert state.verdict == "no_baseline"
        assert "not where" in state.report["problem"]
    finally:
        there.delete_registered_model("foreign")


def test_without_mlflow_there_is_nothing_to_look_at(scene: Scene, tmp_path: Path) -> None:
    away = settings_for_tests(
        data_dir=tmp_path, mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}"
    )
    with pytest.raises(RegistryUnavailableError):
        Watcher(away, FAMILIES, scene.database, "one").look()


def test_metrics_are_those_of_the_last_look(scene: Scene) -> None:
    scene.ask(0, 500, shift=3.0)
    state = scene.look()
    collector = DriftCollector(scene.settings)
    try:
        until = time.monotonic() + PATIENCE
        while not (found := _samples(collector)):
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        collector.close()
    of = {"model": NAME, "version": "1"}
    assert found["prediction_drift_detected", frozenset(of.items())] == 1
    assert found["prediction_drift_window_samples", frozenset(of.items())] == 500
    assert found["prediction_drift_samples_missing", frozenset(of.items())] == 0
    checked = found["prediction_drift_checked_timestamp_seconds", frozenset(of.items())]
    assert checked == pytest.approx(state.checked / 1e6)
    by = {dict(labels)["feature"]: value for (name, labels), value in found.items()
          if name == "prediction_drift_score"}  # fmt: skip
    assert by["_overall"] == state.score
    assert by["feature_1"] >= 1 and "_prediction" in by


def test_only_so_many_features_of_a_model_become_series() -> None:
    every = [{"feature": f"f{n}", "score": 10 - n / 100} for n in range(200)]
    every += [{"feature": "_prediction", "score": 0.01}, {"feature": "_confidence", "score": 0.0}]
    found = scores({"drift": {"verdict": "drift", "score": 10.0, "features": every}})
    assert len(found) == MOST_FEATURES
    assert {"_overall", "_prediction", "_confidence", "f0", "f46"} <= set(found)
    assert "f47" not in found
    assert scores({"drift": {"verdict": "not_enough_data", "score": 0.0, "features": []}}) == {}
    assert scores(None) == scores({"problem": "x"}) == {}


def _address(scene: Scene) -> str:
    return str(client(scene.settings).get_run(scene.run_id).data.tags[baselines.TAG])


def _samples(collector: DriftCollector) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in collector.collect()
        for sample in family.samples
    }
