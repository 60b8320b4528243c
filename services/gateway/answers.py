"""What a prediction looks like to a caller, whatever it was."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.responses import Response

from services.core.errors import PredictionFailedError
from services.core.logging import get_logger
from services.engine.messages import PredictResult
from services.families.cutler.schema import Instance, Segmentation
from services.gateway.reply import Reply

_log = get_logger(__name__)


def prediction(result: PredictResult, settings_threshold: float) -> Response:
    """Answer with a model's output, and with which version made it.

    Args:
        settings_threshold: the threshold that counted, where the output is objects in a picture.
    """
    output = result.output
    if isinstance(output, Segmentation):
        return objects(result, settings_threshold)
    body: dict[str, Any] = dict(output) if isinstance(output, Mapping) else {"predictions": output}
    return _response(result, body | provenance(result))


def objects(result: PredictResult, threshold: float) -> Response:
    """Answer with the objects found in a picture."""
    found: Segmentation = result.output
    height, width = found.size
    body = {
        "success": True,
        "model": {"name": result.model.name, "version": result.model.version},
        "threshold": threshold,
        "image_size": {"height": height, "width": width},
        "num_instances": len(found.instances),
        "instances": [_instance(instance) for instance in found.instances],
        "image": None if found.image is None else base64.b64encode(found.image).decode(),
        "processing_time": result.seconds,
        "timings": result.timings,
    }
    return _response(result, body | provenance(result))


def json_of(output: Any) -> Any:
    """Return an output of any family as JSON values: objects in a picture are a mapping too."""
    if not isinstance(output, Segmentation):
        return output
    height, width = output.size
    return {
        "num_instances": len(output.instances),
        "instances": [_instance(instance) for instance in output.instances],
        "image_size": {"height": height, "width": width},
    }


def provenance(result: PredictResult) -> dict[str, Any]:
    """Which version answered, when, and under which id."""
    return {
        "prediction_id": result.id,
        "model_name": result.model.name,
        "model_version": result.model.version,
        "model_stage": result.stage.title,
        "timestamp": datetime.now(UTC),
    }


def _response(result: PredictResult, body: dict[str, Any]) -> Response:
    try:
        encoded = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        _log.error("answer is not JSON", model=result.model.name, version=result.model.version)
        raise PredictionFailedError("The model's answer is not JSON.") from error
    return Reply(encoded, result.id)


def _instance(instance: Instance) -> dict[str, Any]:
    return {
        "box": instance.box,
        "score": instance.score,
        "area": instance.area,
        "mask": instance.mask,
    }
