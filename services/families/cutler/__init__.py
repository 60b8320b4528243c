"""CutLER: class-agnostic instance segmentation by Cascade Mask R-CNN, in PyTorch.

Network and checkpoints are compatible with Detectron2. Importing this package does not import
torch; loading a model does.
"""

from typing import TYPE_CHECKING

from services.families.base import Artifact, Family, Model

if TYPE_CHECKING:
    from services.core.settings import Settings


class CutlerFamily(Family):
    """Serves CutLER checkpoints and the bundled segmenter."""

    name = "cutler"
    task = "instance-segmentation"
    model_name = "cutler"
    takes = "picture"

    def open(self, artifact: Artifact, settings: "Settings") -> Model:
        """Load weights and configuration of a version, in the precision that the settings say."""
        from services.families.cutler.model import open_model

        return open_model(artifact, settings)

    def builtin(self, settings: "Settings") -> Artifact:
        """Return what MODEL_PATH and CONFIG_PATH name, pinned, or else the bundled model."""
        from services.families.cutler.files import builtin

        return builtin(settings)


FAMILY = CutlerFamily()
