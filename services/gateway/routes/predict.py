"""Predictions: `POST /predict`, where the body decides, and any model by name."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, FastAPI, Path, Query, Request, Response

from services.core.errors import (
    PredictionFailedError,
    UnsupportedMediaError,
)
from services.engine.engine import Engine
from services.engine.messages import PredictRequest
from services.gateway import answers, examples
from services.gateway.choice import Choice
from services.gateway.dependencies import get_engine, get_families, get_settings
from services.gateway.direct import DirectRoute
from services.gateway.disconnect import unless_gone
from services.gateway.foreign import asked_for
from services.gateway.json_body import is_json, media_type, read_object
from services.gateway.media import media_received
from services.gateway.openapi import answer_responses, either_body
from services.gateway.schemas import PredictionResponse
from services.gateway.served import family_of
from services.gateway.uploads import FORM, picture

router = APIRouter(tags=["predictions"])

_TAKES_PICTURES = "picture"
_ERRORS = (400, 404, 408, 413, 415, 422, 429, 500, 503, 504)
_NEITHER = "application/json, or multipart/form-data with a file"

Name = Annotated[
    str, Path(min_length=1, max_length=250, description="Name of the registered model.")
]
Version = Annotated[
    str | None,
    Query(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Which version; not with `stage`."),
]
StageName = Annotated[
    str | None,
    Query(max_length=32, description="Version of which stage; without it, production."),
]


class OneLine:
    """The route that is asked most; what it needs of the application is found once."""

    def __init__(self, app: FastAPI) -> None:
        self._engine: Engine = app.state.engine
        self._choice: Choice = app.state.choice
        self._threshold: float = app.state.settings.cutler_threshold

    async def predict(self, request: Request) -> Response:
        """A JSON body with `features`, `reviews` or `image`, or a form with a picture in `file`.

        `curl -F file=@hexagon.png http://127.0.0.1:8000/predict`
        """
        kind = media_type(request)
        if is_json(kind):
            body = await read_object(request, self._choice.expected)
            name = self._choice.of_body(body)
            request.scope["state"]["model"] = name
            asked = PredictRequest(name, body)
            work = self._engine.predict(asked)
            # What is answered in this turn of the loop needs nobody to watch the line.
            light = self._engine.is_light(name)
            result = await (work if light else unless_gone(request, work))
            return answers.prediction(result, self._threshold)
        if kind != FORM:
            raise _unsupported(kind)
        name = self._choice.of_file()
        request.scope["state"]["model"] = name
        return await _picture(request, PredictRequest(name, None))


@router.post(
    "/models/{name}/predict",
    response_model=None,
    responses=answer_responses(PredictionResponse, "The model's answer.", *_ERRORS),
    openapi_extra=either_body(examples.BY_NAME),
    summary="Predict with one model",
)
async def predict_by_name(
    request: Request, name: Name, version: Version = None, stage: StageName = None
) -> Response:
    """Rows as a list of records, a list of rows, or columns in `inputs`; or a picture in `file`.

    `GET /models/{name}` says what the model takes, with an example.
    """
    asked = asked_for(name, version, stage)
    kind = media_type(request)
    if kind != FORM and not is_json(kind):
        raise _unsupported(kind)
    _check_kind(request, name, kind)
    try:
        if kind == FORM:
            return await _picture(request, asked)
        body = await read_object(request)
        return await _run(request, replace(asked, payload=body))
    except PredictionFailedError:
        # Of a model that was only loaded for this request nothing was known before.
        _check_kind(request, name, kind)
        raise


def install(app: FastAPI) -> None:
    """Add both routes; the first one before all others, for it is asked most."""
    app.router.add_api_route(
        "/predict",
        OneLine(app).predict,
        methods=["POST"],
        route_class_override=DirectRoute,
        response_model=None,
        tags=["predictions"],
        responses=answer_responses(PredictionResponse, "The model's answer.", *_ERRORS),
        openapi_extra=either_body(examples.ONE_LINE),
        summary="Predict; the body decides with which model",
    )
    app.include_router(router)


def _check_kind(request: Request, name: str, kind: str) -> None:
    """Refuse a form for a model that takes JSON, and the other way round, as far as is known."""
    family = family_of(get_engine(request), get_families(request), name)
    if family is None or (family.takes == _TAKES_PICTURES) == (kind == FORM):
        return
    form = "multipart/form-data with a picture in the field file"
    raise UnsupportedMediaError(
        "The model does not take a body of this kind.",
        where="Content-Type",
        expected=form if family.takes == _TAKES_PICTURES else "application/json",
        received=media_received(kind),
    )


async def _run(request: Request, asked: PredictRequest) -> Response:
    result = await unless_gone(request, get_engine(request).predict(asked))
    return answers.prediction(result, get_settings(request).cutler_threshold)


async def _picture(request: Request, asked: PredictRequest) -> Response:
    async with picture(request) as found:
        return await _run(request, replace(asked, payload=found))


def _unsupported(kind: str) -> UnsupportedMediaError:
    return UnsupportedMediaError(
        "The body is neither JSON nor a form.",
        where="Content-Type",
        expected=_NEITHER,
        received=media_received(kind),
    )
