"""Any other MLflow model: served by its signature, without a line of code for it."""

from typing import TYPE_CHECKING

from services.core.errors import CheckpointError
from services.families.base import Artifact, Family, Model

if TYPE_CHECKING:
    from services.core.settings import Settings


class PyfuncFamily(Family):
    """Serves what `mlflow.pyfunc.load_model` returns; the registry opens it, once it is trusted."""

    name = "pyfunc"
    task = "any"

    def open(self, artifact: Artifact, settings: "Settings") -> Model:
        """Bring a model into memory.

        Raises:
            CheckpointError: the registry did not open it.
        """
        from services.families.pyfunc.model import PyfuncModel

        if artifact.native is None:
            raise CheckpointError(
                "The version holds no model that MLflow can open.",
                where=artifact.name,
                expected="a model with the python_function flavour",
            )
        return PyfuncModel(artifact, artifact.native(), settings.max_rows)


FAMILY = PyfuncFamily()
