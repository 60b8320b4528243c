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
from services.families.cutler.schema import Segmentation
from services.families.cutler.shown import instance_of
from services.gateway.reply import Reply

_log = get_logger(__name__)


def prediction(result: PredictResult, settings_threshold: float) -> Response:
    """Answer with a model's output, and with which version made it.

    Args:
        settings_threshold: the threshold that counted, where the output is objects in a picture.
    """
    return _response(result, body_of(result, settings_threshold))


def objects(result: PredictResult, threshold: float) -> Response:
    """Answer with the objects found in a picture."""
    return _response(result, _objects(result, threshold) | provenance(result))


def body_of(
    result: PredictResult, threshold: float, made: datetime | None = None
) -> dict[str, Any]:
    """Return what `prediction` answers with; `made` says when, if that was not just now."""
    output = result.output
    if isinstance(output, Segmentation):
        return _objects(result, threshold) | provenance(result, made)
    body: dict[str, Any] = dict(output) if isinstance(output, Mapping) else {"predictions": output}
    return body | provenance(result, made)


def _objects(result: PredictResult, threshold: float) -> dict[str, Any]:
    found: Segmentation = result.output
    height, width = found.size
    return {
        "success": True,
        "model": {"name": result.model.name, "version": result.model.version},
        "threshold": threshold,
        "image_size": {"height": height, "width": width},
        "num_instances": len(found.instances),
        "instances": [instance_of(instance) for instance in found.instances],
        "image": None if found.image is None else base64.b64encode(found.image).decode(),
        "processing_time": result.seconds,
        "timings": result.timings,
    }


def provenance(result: PredictResult, made: datetime | None = None) -> dict[str, Any]:
    """Which version answered, when, and under which id."""
    return {
        "prediction_id": result.id,
        "model_name": result.model.name,
        "model_version": result.model.version,
        "model_stage": result.stage.title,
        "timestamp": made or datetime.now(UTC),
    }


def _response(result: PredictResult, body: dict[str, Any]) -> Response:
    try:
        encoded = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        _log.error("answer is not JSON", model=result.model.name, version=result.model.version)
        raise PredictionFailedError("The model's answer is not JSON.") from error
    return Reply(encoded, result.id)
