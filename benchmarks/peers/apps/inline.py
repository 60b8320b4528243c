"""Applications for uvicorn: a constant, the model in bare ASGI, the model in plain FastAPI.

The file of the model is named by MODEL.
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import orjson
from fastapi import FastAPI
from pydantic import BaseModel, Field

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CONSTANT = b'{"prediction":1,"probability":[0.25,0.75]}'
_model = joblib.load(os.environ["MODEL"])
_classes = _model.classes_.tolist()


async def floor(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Read the body and answer always the same."""
    await _body(receive)
    await _answer(send, _CONSTANT)


async def bare(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Ask the model for every request by itself."""
    features = orjson.loads(await _body(receive))["features"]
    probabilities = _model.predict_proba(np.array([features]))[0]
    answer = {
        "prediction": _classes[probabilities.argmax()],
        "probability": probabilities.tolist(),
    }
    await _answer(send, orjson.dumps(answer))


plain = FastAPI()


class Row(BaseModel):
    """What comes in."""

    features: Annotated[list[float], Field(min_length=20, max_length=20)]


class Answer(BaseModel):
    """What goes out."""

    prediction: int
    probability: list[float]


@plain.post("/predict")
async def predict(row: Row) -> Answer:
    """As the tutorials have it, with one call of the model instead of two."""
    probabilities = _model.predict_proba(np.array([row.features]))[0]
    return Answer(prediction=_classes[probabilities.argmax()], probability=probabilities.tolist())


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        piece: bytes = message.get("body", b"")
        body += piece
        if not message.get("more_body"):
            return body


async def _answer(send: Send, body: bytes) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
