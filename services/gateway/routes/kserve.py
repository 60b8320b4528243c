"""KServe's V1 protocol, which is TensorFlow Serving's REST form: `/v1/models/{name}:predict`."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from services.core.errors import (
    NotFoundError,
    UnsupportedMediaError,
)
from services.core.signature.problems import kind_of, refuse, stranger
from services.engine.messages import PredictRequest
from services.gateway import examples
from services.gateway.bodies import read_body
from services.gateway.dependencies import get_engine
from services.gateway.foreign import ask_given, asked_for, done, reply, signature_of
from services.gateway.json_body import is_json, media_type, parse
from services.gateway.media import media_received
from services.gateway.openapi import foreign_responses, json_body
from services.gateway.parameters import Name
from services.gateway.schemas_foreign import TextError, V1Models, V1Predictions, V1Ready
from services.gateway.served import check_serves
from services.gateway.tables.fit import fit_values

router = APIRouter(prefix="/v1", tags=["kserve v1"])

_ROWS = ("instances", "inputs")
_BODY = "an object with instances, a list with one item for each prediction"
# What curl says of a body when nobody tells it better, as in the protocol's own examples.
_FROM_CURL = "application/x-www-form-urlencoded"
_SCHEMA = {
    "type": "object",
    "properties": {
        "instances": {"type": "array", "minItems": 1},
        "inputs": {"description": "Columns, or tensors by name, in place of `instances`."},
        "params": {"type": "object"},
        "signature_name": {"description": "Ignored: a model has one signature."},
    },
    "additionalProperties": False,
}
_PREDICTION = foreign_responses(
    V1Predictions, TextError, 400, 404, 408, 413, 415, 422, 429, 500, 503, 504, identified=True
)

PathVersion = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Its number.")]
AnyVersion = Annotated[str, Path(max_length=64, description="Its number.")]
WithOthers = Annotated[
    bool,
    Query(
        alias="probabilities",
        description="Answer a classifier's `probabilities` and `classes` beside `predictions`.",
    ),
]


@router.post(
    "/models/{name}:predict",
    response_model=None,
    responses=_PREDICTION,
    openapi_extra=json_body(_SCHEMA, examples.INSTANCES),
    summary="Predict with one model (KServe V1)",
)
async def v1_predict(request: Request, name: Name, others: WithOthers = False) -> Response:
    """One prediction for each of `instances`: of a classifier the class.

    An instance is a record, a list, a number or a text, as the model takes it; a picture is
    base64, alone or as `{"b64": …}` or `{"image_bytes": {"b64": …}}`.
    """
    return await _predict(request, asked_for(name), others=others)


@router.post(
    "/models/{name}/versions/{version}:predict",
    response_model=None,
    responses=_PREDICTION,
    openapi_extra=json_body(_SCHEMA, examples.INSTANCES),
    summary="Predict with one version of a model (KServe V1)",
)
async def v1_predict_version(
    request: Request, name: Name, version: PathVersion, others: WithOthers = False
) -> Response:
    """As `/v1/models/{name}:predict`, with the version in the path as in TensorFlow Serving."""
    return await _predict(request, asked_for(name, version), others=others)


@router.post(
    "/models/{name}:explain",
    response_model=None,
    responses=foreign_responses(None, TextError, 404, 422),
    summary="Not there: no model here explains itself (KServe V1)",
)
async def v1_explain(request: Request, name: Name) -> Response:
    """Always 404: it says so to clients that ask for it."""
    raise NotFoundError(
        "No model here has explanations.", where="path", expected=":predict in place of :explain"
    )


@router.get("/models", summary="The models here (KServe V1)")
async def v1_models(request: Request) -> V1Models:
    """The names of all models that have a version in production."""
    statuses = get_engine(request).statuses()
    return V1Models(models=sorted(one.name for one in statuses if one.wanted is not None))


@router.get(
    "/models/{name}",
    responses=foreign_responses(None, TextError, 404, 422, 503),
    summary="Does a model answer? (KServe V1)",
)
async def v1_model(request: Request, name: Name) -> V1Ready:
    """200 where it does, also where it is put back into memory for it; else 503."""
    _no_verb(name)
    await check_serves(request, name)
    return V1Ready(name=name, ready=True)


@router.get(
    "/models/{name}/versions/{version}",
    responses=foreign_responses(None, TextError, 404, 422, 503, 504),
    summary="Is a version in memory? (KServe V1)",
)
async def v1_model_version(request: Request, name: Name, version: AnyVersion) -> V1Ready:
    """503 for a version that would first have to be loaded; asking it to predict does that."""
    _no_verb(version)
    await check_serves(request, name, version)
    return V1Ready(name=name, ready=True)


def _no_verb(text: str) -> None:
    """Refuse to GET what only takes POST: no model's name holds a colon.

    Raises:
        HTTPException: 405, as the router says it.
    """
    if text.endswith((":predict", ":explain")):
        raise HTTPException(405, headers={"Allow": "POST"})


async def _predict(request: Request, asked: PredictRequest, *, others: bool) -> Response:
    kind = media_type(request)
    if not is_json(kind) and kind != _FROM_CURL:
        raise UnsupportedMediaError(
            "The body is not labelled as JSON.",
            where="Content-Type",
            expected="application/json",
            received=media_received(kind),
        )
    raw = await read_body(request)
    body = await done(partial(parse, raw), len(raw))
    where = _rows_of(body)
    signature = await signature_of(request, asked)
    given = await done(partial(fit_values, body[where], signature, where, drop=False), len(raw))
    rows = await ask_given(request, asked, given, body.get("params"))
    answer: dict[str, Any] = {"predictions": rows.predictions}
    if others:
        answer |= dict(rows.others)
        if rows.labels:
            answer["classes"] = rows.labels
    return reply(rows, answer)


def _rows_of(body: Any) -> str:
    """Return the name under which a body holds its rows."""
    if not isinstance(body, Mapping):
        raise refuse("body", f"is {kind_of(body)}", _BODY)
    for name in body:
        if name not in (*_ROWS, "params", "signature_name"):
            raise refuse(stranger("body", name), "is unknown", _BODY)
    found = [name for name in _ROWS if name in body]
    if len(found) != 1:
        what = "has both instances and inputs" if found else "has no instances"
        raise refuse("body", what, _BODY)
    if found[0] == "instances" and type(body["instances"]) is not list:
        raise refuse("instances", f"is {kind_of(body['instances'])}", "a list")
    return found[0]
