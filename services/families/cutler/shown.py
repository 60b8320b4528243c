"""Objects in a picture as JSON values, as a caller is shown them."""

from typing import Any

from services.families.cutler.schema import Instance, Segmentation


def json_of(output: Any) -> Any:
    """Return an output of any family as JSON values: objects in a picture are a mapping too."""
    if not isinstance(output, Segmentation):
        return output
    height, width = output.size
    return {
        "num_instances": len(output.instances),
        "instances": [instance_of(instance) for instance in output.instances],
        "image_size": {"height": height, "width": width},
    }


def instance_of(instance: Instance) -> dict[str, Any]:
    """Return one object."""
    return {
        "box": instance.box,
        "score": instance.score,
        "area": instance.area,
        "mask": instance.mask,
    }
