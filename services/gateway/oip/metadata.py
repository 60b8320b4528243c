"""What a model takes and gives, in the protocol's words."""

from typing import Any

from starlette.requests import Request

from services.core.signature import Field, Signature
from services.core.signature.types import COLUMN_TYPES
from services.engine.loaded import Loaded
from services.engine.messages import PredictRequest
from services.families.base import Model
from services.families.cutler.schema import Segmentation
from services.families.cutler.shown import json_of
from services.gateway.dependencies import get_desk, get_engine, get_families
from services.gateway.disconnect import unless_gone
from services.gateway.oip.datatypes import BYTES, datatype_of
from services.gateway.oip.outputs import form_of
from services.gateway.rows import PICTURE
from services.gateway.served import status_of

# Of the one tensor of a table whose columns are all of one type of numbers, and of a picture's.
TABLE = "inputs"
PICTURES = "image"
_SEGMENTATION = "instance-segmentation"
_NUMBERS = frozenset({"integer", "long", "float", "double"})

Described = dict[str, Any]


async def metadata_of(request: Request, asked: PredictRequest) -> Described:
    """Return what `GET /v2/models/{name}` answers; the version is brought into memory for it.

    Raises:
        SlipwayError: as `Engine.predict`, the payload aside.
    """
    engine = get_engine(request)
    model = await unless_gone(request, engine.opened(asked))
    loaded = engine.in_memory(asked.model, asked.version)
    return {
        "name": model.info.name,
        "versions": versions_of(request, asked.model),
        "platform": f"slipway_{model.info.family}",
        "inputs": inputs_of(model.signature, pictures=takes_pictures(request, model)),
        "outputs": [] if loaded is None else outputs_of(loaded),
    }


def takes_pictures(request: Request, model: Model) -> bool:
    """Whether a model takes encoded pictures."""
    family = get_families(request).get(model.info.family)
    return family is not None and family.takes == PICTURE


def versions_of(request: Request, name: str) -> list[str]:
    """Return the versions of a model that are in memory or hold a stage, the newest last."""
    status = status_of(get_engine(request), name)
    found = set() if status is None else {one.version for one in status.versions}
    snapshot = get_desk(request).snapshot
    registered = None if snapshot is None else snapshot.models.get(name)
    if registered is not None:
        held = (registered.production, registered.staging, registered.previous, registered.latest)
        found |= {ref.version for ref in held if ref is not None}
    return sorted(found, key=lambda version: (len(version), version))


def inputs_of(signature: Signature | None, *, pictures: bool) -> list[Described]:
    """Return name, datatype and shape (-1: any size) of each input; none where it is not known."""
    if pictures:
        return [_tensor(PICTURES, BYTES, [-1])]
    fields = () if signature is None else signature.inputs
    kinds = {field.type for field in fields}
    unnamed = len(fields) > 1 and any(field.name is None for field in fields)
    if kinds and kinds <= _NUMBERS and (len(kinds) == 1 or unnamed):
        datatype = datatype_of(COLUMN_TYPES[fields[0].type]) if len(kinds) == 1 else "FP64"
        return [_tensor(TABLE, datatype, [-1, len(fields)])]
    # Columns of several types that have no names cannot be told apart here.
    return [] if unnamed else [_input(field) for field in fields]


def outputs_of(loaded: Loaded) -> list[Described]:
    """Return name, datatype and shape of each output: as it answers, else as it declares."""
    answer = loaded.answer
    if answer is None and loaded.model.info.task == _SEGMENTATION:
        # Too slow a model to be tried out with a picture of nothing.
        answer = Segmentation((1, 1), (), None)
    if answer is not None:
        found = form_of(json_of(answer))
        return [_tensor(one.name, one.datatype, one.shape) for one in found]
    signature = loaded.model.signature
    fields = () if signature is None else signature.outputs
    if len(fields) == 1 and fields[0].name is None:
        return [_declared(fields[0], "predictions")]
    return [_declared(field, field.name or f"output_{at}") for at, field in enumerate(fields)]


def _input(field: Field) -> Described:
    name = field.name or TABLE
    if field.is_tensor:
        return _tensor(name, datatype_of(field.dtype or "float64"), list(field.shape or (-1,)))
    items = field.detail.get("items") if field.detail is not None else None
    if field.type == "array" and items is not None and items["type"] in _NUMBERS:
        return _tensor(name, datatype_of(COLUMN_TYPES[items["type"]]), [-1, -1])
    return _tensor(name, datatype_of(COLUMN_TYPES[field.type]), [-1])


def _declared(field: Field, name: str) -> Described:
    """Describe an output: what it comes as, where JSON has one kind of number for many types."""
    shape = list(field.shape or (-1,)) if field.is_tensor else [-1]
    datatype = datatype_of(field.dtype or "object" if field.is_tensor else COLUMN_TYPES[field.type])
    if datatype.startswith("FP"):
        datatype = "FP64"
    elif datatype != "BOOL" and datatype != BYTES:
        datatype = "INT64"
    return _tensor(name, datatype, [-1, *shape[1:]])


def _tensor(name: str, datatype: str, shape: list[int]) -> Described:
    return {"name": name, "datatype": datatype, "shape": shape}
