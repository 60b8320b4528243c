"""CutLER: class-agnostic instance segmentation by Cascade Mask R-CNN, in PyTorch.

Network and checkpoints are compatible with Detectron2. Importing this package does not import
torch; loading a model does.
"""

from typing import TYPE_CHECKING

from services.families.base import Family, Model

if TYPE_CHECKING:
    from services.core.settings import Settings


class CutlerFamily(Family):
    """Serves CutLER checkpoints and the bundled segmenter."""

    name = "cutler"
    task = "instance-segmentation"

    def load(self, settings: "Settings") -> Model:
        """Load the model that MODEL_PATH and CONFIG_PATH name, or the bundled one."""
        from services.families.cutler.model import load_model

        return load_model(settings)


FAMILY = CutlerFamily()
