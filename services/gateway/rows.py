"""Rows in, answers out: what the protocols of other servers have in common.

A route of such a protocol decodes its body to rows, asks here, and encodes what comes back.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from starlette.requests import Request

from services.core.encoded_picture import PICTURES, encoded_picture
from services.core.errors import InvalidInputError, PayloadTooLargeError, SlipwayError
from services.core.received import describe
from services.engine.messages import PredictRequest, PredictResult
from services.families.base import Picture
from services.families.cutler.shown import json_of
from services.gateway.dependencies import get_engine, get_families, get_settings
from services.gateway.disconnect import predicted, unless_gone
from services.gateway.served import family_of
from services.gateway.uploads import check_bytes

PICTURE = "picture"
# Pictures of one request that are under way at once, so that others get their turn.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """The answer to some rows.

    Attributes:
        model: name of the model that answered.
        version: its version.
        id: of the prediction; of the first one where each row is a prediction of its own.
        predictions: usually a list with one JSON value for each row; a model that is not
            Slipway's own may answer any JSON value.
        others: further outputs by name, such as `probabilities` [rows][classes].
        labels: the classes that `probabilities` are of; empty where there are none.
    """

    model: str
    version: str
    id: str
    predictions: Any
    others: Mapping[str, Any] = field(default_factory=dict)
    labels: Sequence[Any] = ()


def takes_pictures(request: Request, model: str) -> bool:
    """Whether a model takes pictures, as far as is known before it is loaded."""
    family = family_of(get_engine(request), get_families(request), model)
    return family is not None and family.takes == PICTURE


async def ask(request: Request, wanted: PredictRequest) -> Rows:
    """Predict rows.

    Args:
        wanted: its payload is `{"inputs": …, "params": …}` (`params` may be left out). For a
            model that takes pictures `inputs` is a list of encoded files: bytes, base64, or an
            object that holds one of these.

    Raises:
        SlipwayError: as `Engine.predict`; a picture's error says which one (`inputs[3]`).
    """
    if takes_pictures(request, wanted.model):
        return await _pictures(request, wanted)
    result = await predicted(request, wanted)
    output = dict(result.output)
    predictions = output.pop("predictions", None)
    labels = output.pop("classes", ())
    return Rows(result.model.name, result.model.version, result.id, predictions, output, labels)


async def _pictures(request: Request, wanted: PredictRequest) -> Rows:
    pictures = _read(wanted.payload, get_settings(request).max_rows)
    engine, gate = get_engine(request), asyncio.Semaphore(_AT_ONCE)

    async def one(index: int, data: bytes) -> PredictResult:
        async with gate:
            try:
                check_bytes(data, "inputs")
                return await engine.predict(replace(wanted, payload=Picture(data)))
            except SlipwayError as error:
                error.where = f"inputs[{index}]"
                raise

    async def every() -> list[PredictResult]:
        tasks = [asyncio.ensure_future(one(*pair)) for pair in enumerate(pictures)]
        try:
            return await asyncio.gather(*tasks)
        finally:
            # One picture's error is the whole request's: nobody waits for the others.
            for task in tasks:
                task.cancel()

    results = await unless_gone(request, every())
    first = results[0]
    found = [json_of(result.output) for result in results]
    return Rows(first.model.name, first.model.version, first.id, found)


def _read(payload: Mapping[str, Any], most: int) -> list[bytes]:
    if payload.get("params"):
        raise InvalidInputError(
            "This model takes no parameters.",
            where="params",
            expected="nothing",
            received=describe(payload["params"]),
        )
    given = payload.get("inputs")
    if isinstance(given, Mapping) and len(given) == 1:
        (given,) = given.values()
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if not isinstance(given, list) or not given:
        raise InvalidInputError(
            "There is no list of pictures.",
            where="inputs",
            expected=PICTURES,
            received=describe(given),
        )
    if len(given) > most:
        raise PayloadTooLargeError(
            f"There are {len(given)} pictures.",
            where="inputs",
            expected=f"at most {most}",
            received=describe(given),
        )
    return [encoded_picture(item, f"inputs[{index}]") for index, item in enumerate(given)]
