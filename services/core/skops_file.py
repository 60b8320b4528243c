"""scikit-learn models in skops' format: opened by a list of types of our own, never the model's.

skops builds objects by name; what may be named decides whether a file can run code. Trees are a
case of their own: no code, but their arrays are followed by compiled code that does not check
them, so a crafted tree could read any memory. skops leaves them to its user; here every index in
them is checked before the first use.
"""

import zipfile
from pathlib import Path
from typing import Any

from services.core import trees
from services.core.errors import CheckpointError, UntrustedModelError

_TREES = (
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
# Beyond what skops trusts by itself: values, and classes and functions of scikit-learn in plain
# Python that only compute with what they hold.
TRUSTED_TYPES = (
    "collections.OrderedDict",
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.feature_selection._univariate_selection.chi2",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    *_TREES,
)


def check(path: Path) -> None:
    """Find out whether a file may be opened; nothing of it is built or imported.

    Raises:
        UntrustedModelError: it holds types that are not on the list; it names them.
        CheckpointError: it is not a skops file.
    """
    import skops.io

    try:
        unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED_TYPES))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile):
        raise _unreadable() from None
    if unknown:
        raise UntrustedModelError(
            f"The model is built of types that are not known to be safe: {_listed(unknown)}.",
            where="TRUSTED_MODELS",
            expected="the model's name in it, if its author is trusted",
        )


def load(path: Path) -> Any:
    """Open a file.

    Raises:
        UntrustedModelError, CheckpointError: see `check`; or a tree in it leads nowhere.
    """
    import skops.io

    check(path)
    try:
        model = skops.io.load(path, trusted=list(TRUSTED_TYPES))
    except Exception as error:  # whatever a malformed file makes scikit-learn raise
        raise _unreadable() from error
    trees.check(model)
    return model


def _listed(types: list[str], most: int = 8) -> str:
    more = f" and {len(types) - most} more" if len(types) > most else ""
    return ", ".join(name[:120] for name in types[:most]) + more


def _unreadable() -> CheckpointError:
    return CheckpointError(
        "The model's file cannot be read.", expected="a scikit-learn model in skops' format"
    )
