"""scikit-learn models from files: what people train opens, what is crafted does not."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from services.core import skops_file
from services.core.errors import CheckpointError, UntrustedModelError

X = np.random.default_rng(0).random((40, 3))
Y = np.arange(40) % 2


def test_models_that_people_train_open(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1.0, None, 3.0, 4.0] * 10, "b": ["x", "y", None, "z"] * 10})
    mixed = make_column_transformer(
        (SimpleImputer(), make_column_selector(dtype_include=float)),
        (OneHotEncoder(handle_unknown="ignore"), ["b"]),
    )
    models: list[tuple[Any, Any]] = [
        (LogisticRegression().fit(X, Y), X),
        (RandomForestRegressor(5).fit(X, np.column_stack([Y, Y])), X),
        (HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=2).fit(X, Y), X),
        (GradientBoostingClassifier(n_estimators=2).fit(X, Y), X),
        (GradientBoostingClassifier(n_estimators=2).fit(X, np.arange(40) % 3), X),
        (MLPClassifier((3,), max_iter=3, tol=1e9, n_iter_no_change=1).fit(X, Y), X),
        (make_pipeline(mixed, LogisticRegression()).fit(table, Y), table),
    ]
    for number, (model, rows) in enumerate(models):
        path = tmp_path / f"{number}.skops"
        skops.io.dump(model, path)
        assert np.array_equal(skops_file.load(path).predict(rows), model.predict(rows))


@pytest.mark.parametrize("value", [10**6, 0, -5])
def test_a_crafted_tree_is_refused_before_it_is_followed(tmp_path: Path, value: int) -> None:
    """scikit-learn follows a tree's indices without looking: out of the array, anywhere."""
    crafted = RandomForestRegressor(2, max_depth=3, random_state=0).fit(X, Y)
    assert skops_file.load(dumped(crafted, tmp_path)).predict(X).shape == (40,)
    tree = crafted.estimators_[1].tree_
    state = tree.__getstate__()
    state["nodes"]["left_child"][0] = value
    tree.__setstate__(state)
    with pytest.raises(CheckpointError):
        skops_file.load(dumped(crafted, tmp_path))


def test_trees_that_do_not_fit_their_model_are_refused(tmp_path: Path) -> None:
    forest = RandomForestRegressor(2, max_depth=3, random_state=0).fit(X, Y)
    forest.n_features_in_ = 2
    histogram = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2).fit(X, Y)
    histogram._predictors[0][0].nodes["feature_idx"][0] = 1000
    boosting = GradientBoostingClassifier(n_estimators=2).fit(X, np.arange(40) % 3)
    boosting.init_.class_prior_ = boosting.init_.class_prior_[:2]
    for crafted in (forest, histogram, boosting):
        with pytest.raises(CheckpointError):
            skops_file.load(dumped(crafted, tmp_path))
    stray = LogisticRegression().fit(X, Y)
    stray.coef_ = RandomForestRegressor(1).fit(X, Y).estimators_[0].tree_
    with pytest.raises(UntrustedModelError):
        skops_file.load(dumped(stray, tmp_path))


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04cut"])
def test_a_broken_skops_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        skops_file.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps({"__class__": "list", "content": 5}))
    with pytest.raises(CheckpointError):
        skops_file.load(path)


def dumped(model: Any, folder: Path) -> Path:
    path = folder / "model.skops"
    skops.io.dump(model, path)
    return path
