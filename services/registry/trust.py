"""Decide how a version is opened, from its description alone: before anything of it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from services.core import skops_file
from services.core.errors import CheckpointError, UntrustedModelError
from services.registry.mlmodel import PYFUNC, SLIPWAY, ModelFile


class Kind(StrEnum):
    """How a version is opened; `artifact.config["kind"]` of foreign models."""

    SLIPWAY = "slipway"
    SKLEARN = "sklearn"
    PYFUNC = "pyfunc"


@dataclass(frozen=True, slots=True)
class Opening:
    """How, by which family, and from which file or folder.

    Attributes:
        config: what the family is told beside it.
    """

    kind: Kind
    family: str
    path: Path
    config: Mapping[str, Any]


def decide(found: ModelFile, name: str, version: str, trusted: Sequence[str]) -> Opening:
    """Return how to open a version.

    Args:
        trusted: what TRUSTED_MODELS lists: names, or names with a version (`name/3`).

    Raises:
        UntrustedModelError: opening it could run code of its author, and it is not listed.
        CheckpointError: it cannot be opened at all.
    """
    if SLIPWAY in found.flavors:
        return _slipway(found)
    listed = name in trusted or f"{name}/{version}" in trusted
    sklearn = found.flavors.get("sklearn", {})
    if sklearn.get("serialization_format") == "skops":
        path = found.path(sklearn.get("pickled_model"))
        try:
            skops_file.check(path)
        except UntrustedModelError:
            if not listed:
                raise
        else:
            function = found.flavors.get(PYFUNC, {}).get("predict_fn", "predict")
            return Opening(
                Kind.SKLEARN, "tabular", path, {"kind": Kind.SKLEARN.value, "predict_fn": function}
            )
    return _pyfunc(found, listed)


def _slipway(found: ModelFile) -> Opening:
    flavor = found.flavors[SLIPWAY]
    family, config = flavor.get("family"), flavor.get("config", {})
    if not isinstance(family, str) or not isinstance(config, dict):
        raise CheckpointError(
            "The model's slipway flavour cannot be read.",
            where="MLmodel",
            expected="family, config and data",
        )
    return Opening(Kind.SLIPWAY, family, found.path(flavor.get("data")), config)


def _pyfunc(found: ModelFile, listed: bool) -> Opening:
    flavor = found.flavors.get(PYFUNC)
    if flavor is None:
        raise CheckpointError(
            "The model has no flavour that can be served.",
            where="MLmodel",
            expected="the flavour python_function",
        )
    if not listed:
        raise UntrustedModelError(
            f"Opening this model could run code of its author ({_reason(found)}).",
            where="TRUSTED_MODELS",
            expected="the model's name in it, if its author is trusted; or the model saved in a "
            "format that is data only, as skops for scikit-learn",
        )
    loader = str(flavor.get("loader_module", ""))
    return Opening(
        Kind.PYFUNC, "pyfunc", found.folder, {"kind": Kind.PYFUNC.value, "loader_module": loader}
    )


def _reason(found: ModelFile) -> str:
    """Say what makes it unsafe, without repeating what the model says of itself."""
    flavor = found.flavors[PYFUNC]
    if flavor.get("model_code_path"):
        return "it is a Python file"
    if flavor.get("code") or (found.folder / "code").exists():
        return "it brings Python files"
    loader = str(flavor.get("loader_module", ""))
    if loader == "mlflow.sklearn":
        return "it is a pickle"
    if loader == "mlflow.pyfunc.model":
        return "it is a pickled Python object"
    if loader == "mlflow.pytorch":
        return "PyTorch's model files carry pickles and expressions that are evaluated"
    if loader.startswith("mlflow."):
        return "its format is not one that is known to be safe"
    return "it names a module of its own to open it"
