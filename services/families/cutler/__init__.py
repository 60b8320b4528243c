"""CutLER: class-agnostic instance segmentation by Cascade Mask R-CNN, in PyTorch.

Network and checkpoints are compatible with Detectron2. Importing this package does not import
torch; loading a model does.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from services.families._picture_packing import PicturePacking
from services.families.base import Artifact, Family, Model
from services.families.cutler import packed
from services.families.cutler.judging import MaskJudging
from services.families.cutler.schema import SegmentationInput

if TYPE_CHECKING:
    from services.core.settings import Settings


class CutlerFamily(PicturePacking, MaskJudging, Family):
    """Serves CutLER checkpoints and the bundled segmenter."""

    name = "cutler"
    task = "instance-segmentation"
    model_name = "cutler"
    takes = "picture"
    payload_type = SegmentationInput

    def open(self, artifact: Artifact, settings: "Settings") -> Model:
        """Load weights and configuration of a version, in the precision that the settings say."""
        from services.families.cutler.model import open_model

        return open_model(artifact, settings)

    def builtin(self, settings: "Settings") -> Artifact:
        """Return what MODEL_PATH and CONFIG_PATH name, pinned, or else the bundled model."""
        from services.families.cutler.files import builtin

        return builtin(settings)

    def pack_payload(self, payload: Any) -> tuple[dict[str, Any], bytes]:
        """Return what is wanted of the picture, and its file; see `Packing`."""
        if isinstance(payload, SegmentationInput):
            return packed.payload(payload)
        return super().pack_payload(payload)

    def unpack_payload(self, about: Mapping[str, Any], data: bytes) -> Any:
        """Return the payload that was packed."""
        found = packed.payload_from(about, data)
        return super().unpack_payload(about, data) if found is None else found

    def pack_output(self, output: Any) -> tuple[dict[str, Any], bytes | None]:
        """Return the objects with their masks, and the picture that was drawn."""
        return packed.output(output)

    def unpack_output(self, about: Mapping[str, Any], data: bytes | None) -> Any:
        """Return the `Segmentation` that was packed."""
        return packed.output_from(about, data)


FAMILY = CutlerFamily()
