"""Predictions: `POST /predict`, where the body decides, and any model by name."""

from dataclasses import replace

from fastapi import FastAPI, Request, Response

from services.core.errors import (
    PredictionFailedError,
    UnsupportedMediaError,
)
from services.engine.messages import PredictRequest
from services.families.base import Picture
from services.gateway import answers, examples
from services.gateway.choice import Choice
from services.gateway.dependencies import get_engine, get_families, get_settings
from services.gateway.direct import DirectRoute
from services.gateway.disconnect import predicted
from services.gateway.foreign import asked_for
from services.gateway.job_accept import respond_async
from services.gateway.job_inputs import check_picture
from services.gateway.job_requests import IDEMPOTENCY_KEY, PREFER, preference
from services.gateway.json_body import is_json, media_type, read_object
from services.gateway.media import media_received
from services.gateway.openapi import (
    answer_responses,
    either_body,
    later_responses,
    path_and_query,
)
from services.gateway.parameters import Which, which
from services.gateway.schemas import PredictionResponse
from services.gateway.schemas_asynchronous import AcceptedPrediction
from services.gateway.served import family_of
from services.gateway.uploads import FIELD, FORM, picture

_TAKES_PICTURES = "picture"
_ERRORS = (400, 404, 408, 413, 415, 422, 429, 500, 503, 504)
_NEITHER = "application/json, or multipart/form-data with a file"


class OneLine:
    """The route that is asked most; what it needs of the application is found once."""

    def __init__(self, app: FastAPI) -> None:
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
            if preference(request).respond_async:
                return await respond_async(request, asked)
            return answers.prediction(await predicted(request, asked), self._threshold)
        if kind != FORM:
            raise _unsupported(kind)
        name = self._choice.of_file()
        request.scope["state"]["model"] = name
        return await _picture(request, PredictRequest(name, None))


async def predict_by_name(request: Request) -> Response:
    """Rows as a list of records, a list of rows, or columns in `inputs`; or a picture in `file`.

    `GET /models/{name}` says what the model takes, with an example.
    """
    name: str = request.path_params["name"]
    wanted = which(request)
    asked = asked_for(name, wanted.version, wanted.stage)
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
    headers = (PREFER, IDEMPOTENCY_KEY)
    by_name = path_and_query("Name of the registered model.", Which, *headers)
    for path, function, extra, summary in (
        (
            "/predict",
            OneLine(app).predict,
            {**either_body(examples.ONE_LINE), "parameters": list(headers)},
            "Predict; the body decides with which model",
        ),
        (
            "/models/{name}/predict",
            predict_by_name,
            {**either_body(examples.BY_NAME), **by_name},
            "Predict with one model",
        ),
    ):
        app.router.add_api_route(
            path,
            function,
            methods=["POST"],
            route_class_override=DirectRoute,
            response_model=None,
            tags=["predictions"],
            responses={
                **answer_responses(PredictionResponse, "The model's answer.", *_ERRORS),
                **later_responses(AcceptedPrediction),
            },
            openapi_extra=extra,
            summary=summary,
        )


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
    if preference(request).respond_async:
        if isinstance(asked.payload, Picture):
            await check_picture(request, asked.payload.data, FIELD)
        return await respond_async(request, asked)
    result = await predicted(request, asked)
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
