"""Measures of answers by what was right, from scikit-learn; apart, for it takes long to import."""

from collections.abc import Sequence


def of_classes(found: Sequence[str], right: Sequence[str]) -> dict[str, float]:
    """Return `accuracy` and `f1`, the mean over the classes that were answered or right."""
    from sklearn.metrics import accuracy_score, f1_score

    if not found:
        return {}
    return {
        "accuracy": float(accuracy_score(right, found)),
        "f1": float(f1_score(right, found, average="macro", zero_division=0.0)),
    }


def of_numbers(found: Sequence[float], right: Sequence[float]) -> dict[str, float]:
    """Return `mae` and `rmse`, in the unit of the numbers, and `r2` where the right ones differ."""
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    if not found:
        return {}
    measures = {
        "mae": float(mean_absolute_error(right, found)),
        "rmse": float(root_mean_squared_error(right, found)),
    }
    if len(set(right)) > 1:
        measures["r2"] = float(r2_score(right, found))
    return measures
