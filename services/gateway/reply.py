"""The answer of a prediction: JSON and its id, put together without a detour."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_JSON = (b"content-type", b"application/json")


class Reply(Response):
    """A 200 with a JSON body and the header X-Prediction-ID."""

    def __init__(self, body: bytes, prediction_id: str) -> None:
        # Not the base's: it looks at what is always the same here.
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [
            _JSON,
            (b"content-length", b"%d" % len(body)),
            (b"x-prediction-id", prediction_id.encode("ascii")),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})
