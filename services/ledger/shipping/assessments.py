"""Feedback as MLflow's assessments: the calls, and what they carry.

MLflow's clients let the server name an assessment, so that a call that is made again makes a second
one. Here the name is the feedback's own id: the server has it once or says that it is there.
"""

from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from services.core.errors import InvalidInputError, NotFoundError
from services.core.settings import Settings
from services.ledger.database.feedback import DERIVED, Feedback
from services.ledger.records import trace_id
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.posting import error_of, http_client, passing

EXPECTATION = "expectation"
_ID, _RATIONALE = "slipway.feedback_id", "slipway.rationale"
_NOBODY = "anonymous"
_LATEST = 253_402_300_799.0  # the end of the year 9999
_REFUSED = frozenset({400, 413, 422})
_MISSING = "RESOURCE_DOES_NOT_EXIST"


class StumblesError(InvalidInputError):
    """MLflow breaks on this one, or has it already; others may go through."""


class Assessments:
    """A connection to the server for feedback. To be used from one thread."""

    def __init__(self, settings: Settings, destination: Destination) -> None:
        self._settings = settings
        self._destination = destination
        self._client: httpx.Client | None = None

    def there(self, feedback: Feedback) -> bool:
        """Return whether a feedback is on its trace.

        Raises:
            RegistryUnavailableError, httpx.TransportError: not known now.
        """
        answer = self._call("GET", _trace(feedback))
        if answer.status_code == httpx.codes.NOT_FOUND and error_of(answer)[0] == _MISSING:
            return False
        if answer.status_code != httpx.codes.OK:
            raise passing(answer)
        try:
            found = orjson.loads(answer.content)["trace"]["trace_info"].get("assessments", [])
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise passing(answer) from None
        return any(_is(feedback, one) for one in found)

    def attach(self, feedback: Feedback) -> None:
        """Put a feedback on its trace.

        Raises:
            NotFoundError: the trace is not there.
            StumblesError: MLflow breaks on it, or it is there.
            InvalidInputError: MLflow will never take it.
            RegistryUnavailableError, httpx.TransportError: not now; it may be there all the same.
        """
        answer = self._call("POST", _trace(feedback) + "/assessments", assessment(feedback))
        if answer.status_code == httpx.codes.OK:
            if answer.headers.get("content-type", "").startswith("application/json"):
                return
            raise passing(answer)
        code, words = error_of(answer)
        if answer.status_code == httpx.codes.NOT_FOUND and code == _MISSING:
            raise NotFoundError("The trace is not in MLflow.", where="prediction_id")
        if answer.status_code in _REFUSED:
            raise InvalidInputError(f"{answer.status_code} {words}", where="value")
        if code == "INTERNAL_ERROR":
            raise StumblesError(f"{answer.status_code} {words}", where="value")
        raise passing(answer)

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()

    def _call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        if self._client is None:
            self._client = http_client()
        return self._client.request(
            method,
            f"{self._settings.tracking_uri.rstrip('/')}/api/3.0/mlflow/{path}",
            content=None if body is None else orjson.dumps(body),
            headers={**self._destination.headers(), "content-type": "application/json"},
        )


def assessment(feedback: Feedback) -> dict[str, Any]:
    """Return the body of the request that attaches a feedback."""
    created = datetime.fromtimestamp(max(0, min(_LATEST, feedback.created / 1e6)), UTC)
    time = created.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    found: dict[str, Any] = {
        "assessment_id": _name(feedback),
        "assessment_name": feedback.name,
        "source": {
            "source_type": "CODE" if feedback.source == DERIVED else "HUMAN",
            "source_id": feedback.source or _NOBODY,
        },
        "create_time": time,
        "last_update_time": time,
        "metadata": {_ID: feedback.id},
        "valid": True,
    }
    if feedback.rationale is not None:
        found["rationale"] = feedback.rationale
        if feedback.kind == EXPECTATION:
            # MLflow forgets that of an expectation.
            found["metadata"][_RATIONALE] = feedback.rationale
    if feedback.kind != EXPECTATION:
        found["feedback"] = {"value": feedback.value}
    elif isinstance(feedback.value, bool | int | float | str):
        found["expectation"] = {"value": feedback.value}
    else:
        text = orjson.dumps(feedback.value).decode()
        found["expectation"] = {
            "serialized_value": {"serialization_format": "JSON_FORMAT", "value": text}
        }
    return {"assessment": found}


def _name(feedback: Feedback) -> str:
    return "a-" + feedback.id.replace("-", "")


def _trace(feedback: Feedback) -> str:
    return f"traces/{trace_id(feedback.prediction_id)}"


def _is(feedback: Feedback, told: dict[str, Any]) -> bool:
    if told.get("assessment_id") == _name(feedback):
        return True
    metadata = told.get("metadata")
    return isinstance(metadata, dict) and metadata.get(_ID) == feedback.id
