"""Uses KServe's SDK against a gateway and prints what came back as JSON.

Runs in the environment of `kserve.txt`, which knows nothing of Slipway: `python FILE URL`.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable
from typing import Any

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

TEXTS = ["a", "Zürich"]


async def outcome(call: Awaitable[Any]) -> Any:
    """Return what a call returns, or the name and the text of what it raises."""
    try:
        return await call
    except Exception as error:
        return {"raised": type(error).__name__, "text": str(error)}


def texts(*, binary: bool) -> InferRequest:
    """Return a request for the model `text`."""
    given = InferInput("text", [len(TEXTS)], "BYTES")
    given.set_data_from_numpy(np.array(TEXTS, dtype=object), binary_data=binary)
    return InferRequest(model_name="text", infer_inputs=[given], request_id="id-1")


async def infer(client: InferenceRESTClient, url: str, request: InferRequest) -> Any:
    """Return a V2 answer as plain values."""
    answer = await client.infer(url, request, model_name=request.model_name)
    outputs = [
        {"name": out.name, "shape": list(out.shape), "data": out.as_numpy().tolist()}
        for out in answer.outputs
    ]
    return {"id": answer.id, "model": answer.model_name, "outputs": outputs}


async def first(url: str) -> dict[str, Any]:
    """V1, the SDK's default."""
    rows = {"instances": TEXTS}
    headers: dict[str, str] = {}
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        return {
            "live": await outcome(client.is_server_live(url)),
            "ready": await outcome(client.is_model_ready(url, "text")),
            "ready without": await outcome(client.is_model_ready(url, "nobody")),
            "infer": await outcome(
                client.infer(url, rows, model_name="text", response_headers=headers)
            ),
            "id": headers.get("x-prediction-id"),
            "infer version": await outcome(client.infer(url, rows, model_name="text/versions/1")),
            "infer wrong": await outcome(
                client.infer(url, {"instances": ["a", 3]}, model_name="text")
            ),
            "infer without": await outcome(client.infer(url, rows, model_name="nobody")),
            "explain": await outcome(client.explain(url, "text", rows)),
        }


async def second(url: str) -> dict[str, Any]:
    """V2, the Open Inference Protocol."""
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        wrong = InferInput("b", [1], "INT64", data=[1])
        return {
            "live": await outcome(client.is_server_live(url)),
            "server ready": await outcome(client.is_server_ready(url)),
            "ready": await outcome(client.is_model_ready(url, "text")),
            "ready without": await outcome(client.is_model_ready(url, "nobody")),
            "infer": await outcome(infer(client, url, texts(binary=False))),
            "infer binary": await outcome(infer(client, url, texts(binary=True))),
            "infer wrong": await outcome(
                infer(client, url, InferRequest(model_name="named", infer_inputs=[wrong]))
            ),
        }


async def main(url: str) -> None:
    """Run both."""
    found = {"v1": await first(url), "v2": await second(url)}
    sys.stdout.write(json.dumps(found, default=str))


asyncio.run(main(sys.argv[1]))
