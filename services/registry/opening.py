"""From a version's files to what a family opens."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from services.core import skops_file
from services.core.errors import CheckpointError
from services.families.base import Artifact
from services.registry import mlmodel
from services.registry.trust import Kind, Opening, decide


def artifact(
    folder: Path,
    name: str,
    version: str,
    *,
    families: Collection[str],
    trusted: Sequence[str] = (),
) -> Artifact:
    """Return a model's artifact, from the folder that holds its MLmodel.

    Args:
        families: names of those that there are.
        trusted: what TRUSTED_MODELS lists.

    Raises:
        UntrustedModelError: opening it could run code of its author, and it is not listed.
        CheckpointError: it cannot be read, or is of a family that is not installed here.
    """
    found = mlmodel.read(folder)
    opening = decide(found, name, version, trusted)
    if opening.family not in families:
        raise CheckpointError(
            "The model is of a family that is not installed here.",
            where="MLmodel",
            expected=f"one of {', '.join(sorted(families))}",
        )
    inside = opening.kind is Kind.SLIPWAY
    return Artifact(
        family=opening.family,
        name=name,
        version=version,
        folder=opening.path if inside else folder,
        config=opening.config,
        signature=found.signature,
        example=_own_example(found, opening) if inside else found.example,
        native=None if inside else _native(opening),
        run_id=found.run_id,
    )


def _native(opening: Opening) -> Callable[[], Any]:
    path = opening.path

    def load_sklearn() -> Any:
        return skops_file.load(path)

    def load_pyfunc() -> Any:
        import mlflow.pyfunc

        return mlflow.pyfunc.load_model(str(path))

    return load_sklearn if opening.kind is Kind.SKLEARN else load_pyfunc


def _own_example(found: mlmodel.ModelFile, opening: Opening) -> Any:
    return mlmodel.read_example(found.folder, found.flavors[mlmodel.SLIPWAY])
