"""Decision trees from a file: every index in them checked before compiled code follows it.

scikit-learn walks a tree's arrays without looking where an index leads. What is checked here is
what its loops rely on: children inside the tree and after their parent, features that rows have,
and as many outputs as the arrays that are written to.
"""

from collections.abc import Iterator
from typing import Any

from services.core.errors import CheckpointError, UntrustedModelError


def check(model: Any) -> None:
    """Look through a scikit-learn model, whatever it is composed of.

    Raises:
        CheckpointError: a tree leads out of itself or does not fit the model around it.
        UntrustedModelError: there is a tree that no known kind of model holds.
    """
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.tree._tree import Tree

    found: dict[int, Any] = {}
    owned: set[int] = set()
    try:
        for item in _parts(model):
            if isinstance(item, Tree | TreePredictor):
                found[id(item)] = item
            else:
                owned.update(map(id, _owned(item)))
    except (AttributeError, TypeError, ValueError, KeyError, IndexError):
        raise _broken() from None
    if set(found) - owned:
        raise UntrustedModelError(
            "The model holds decision trees in a place where they cannot be checked.",
            where="TRUSTED_MODELS",
            expected="the model's name in it, if its author is trusted",
        )


def _owned(item: Any) -> list[Any]:
    """Return the trees that a model holds itself, having checked them."""
    from sklearn.ensemble._forest import BaseForest
    from sklearn.ensemble._gb import BaseGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import (
        BaseHistGradientBoosting,
    )
    from sklearn.tree import BaseDecisionTree

    if isinstance(item, BaseDecisionTree) and hasattr(item, "tree_"):
        _expect(_sound(item.tree_, item.n_features_in_))
        return [item.tree_]
    if isinstance(item, BaseForest) and hasattr(item, "estimators_"):
        _expect(_all_trees(item.estimators_, item.n_features_in_))
    elif isinstance(item, BaseGradientBoosting) and hasattr(item, "estimators_"):
        _expect(_all_trees(item.estimators_.ravel(), item.n_features_in_))
        _expect(_columns_fit(item))
    elif isinstance(item, BaseHistGradientBoosting) and hasattr(item, "_predictors"):
        predictors = [tree for trees in item._predictors for tree in trees]
        _expect(all(_sound_histogram(tree.nodes, item.n_features_in_) for tree in predictors))
        return predictors
    return []


def _all_trees(estimators: Any, features: int) -> bool:
    """An ensemble hands its rows to its trees unchecked: they must expect the same."""
    from sklearn.tree import BaseDecisionTree

    return all(
        isinstance(tree, BaseDecisionTree) and tree.n_features_in_ == features
        for tree in estimators
    )


def _columns_fit(boosting: Any) -> bool:
    """Each column of trees adds to a column of the first guess: there must be as many."""
    from sklearn._loss.loss import HalfMultinomialLoss
    from sklearn.dummy import DummyClassifier

    columns = boosting.estimators_.shape[1]
    if columns == 1:
        return True
    first = boosting.init_
    if isinstance(first, str):
        return bool(first == "zero" and boosting.n_trees_per_iteration_ == columns)
    return (
        isinstance(first, DummyClassifier)
        and first.strategy == "prior"
        and first.class_prior_.shape == (columns,)
        and isinstance(boosting._loss, HalfMultinomialLoss)
    )


def _sound(tree: Any, features: int) -> bool:
    import numpy as np
    from sklearn.tree._tree import Tree

    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = left != -1
    return (
        isinstance(tree, Tree)
        and tree.n_features == features
        and len(left) > 0
        and _children(left, right, inner)
        and bool(np.all((feature[inner] >= 0) & (feature[inner] < features)))
    )


def _sound_histogram(nodes: Any, features: int) -> bool:
    import numpy as np

    inner = nodes["is_leaf"] == 0
    chosen = nodes["feature_idx"][inner]
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    return (
        len(nodes) > 0
        # Categories are looked up in tables that several parts of the model must agree on.
        and not bool(np.any(nodes["is_categorical"][inner]))
        and _children(left, right, inner)
        and bool(np.all((chosen >= 0) & (chosen < features)))
    )


def _children(left: Any, right: Any, inner: Any) -> bool:
    """Both children of every inner node come after it: inside, and never in a circle."""
    import numpy as np

    parent = np.arange(len(left))[inner]
    ends = (child[inner] for child in (left, right))
    return all(bool(np.all((child > parent) & (child < len(left)))) for child in ends)


def _parts(model: Any) -> Iterator[Any]:
    """Return every object that a model is made of, each once."""
    import numpy as np

    seen: dict[int, Any] = {}
    waiting = [model]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, str | bytes | int | float | type):
            continue
        # Kept alive, so that no other object gets its id.
        seen[id(item)] = item
        yield item
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif isinstance(item, np.ndarray):
            waiting += item.ravel().tolist() if item.dtype.hasobject else []
        else:
            waiting += getattr(item, "__dict__", {}).values()


def _expect(sound: bool) -> None:
    if not sound:
        raise _broken()


def _broken() -> CheckpointError:
    return CheckpointError(
        "A decision tree in the model is broken.",
        expected="nodes that lead to other nodes of the same tree",
    )
