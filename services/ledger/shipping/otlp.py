"""A prediction as a trace of one span, in OTLP.

One span each and few tags, because MLflow's server takes its time for each of them: about a
millisecond of its processor for a tag, half of one for a further span. What need not be searched
for by itself is an attribute of the span, which costs nothing there. `LEDGER_TRACE_TAGS` says which
of model, version, stage and status are tags; the others are attributes too.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from services.core.errors import InvalidInputError
from services.core.setting_types import TraceTags
from services.ledger.records import SUCCEEDED, Record

# An input or an output of more bytes is told by its digest and its place among the blobs.
MOST_BYTES = 64 * 1024
_SPAN_TYPE = "PREDICTION"
_MODEL_CHARACTERS, _VERSION_CHARACTERS = 180, 64
_LATEST_NS = 2**63 - 1
_MOST_SECONDS = 9e9  # in the year 2255
_TAG = "mlflow.traceTag."


def span(record: Record, *, tags: TraceTags) -> Span:
    """Return the root span of a prediction's trace, with these of its tags.

    The same record gives the same span, and so the same trace however often it is sent.

    Raises:
        InvalidInputError: there is no trace of such a record.
    """
    identity = _identity(record.id)
    start = _nanoseconds(record.time)
    found = Span(
        trace_id=identity,
        # Its random half: all that matters is that it is always the same.
        span_id=identity[8:],
        name=name(record),
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=start,
        end_time_unix_nano=start + min(_nanoseconds(record.seconds), _LATEST_NS - start),
    )
    attributes = found.attributes
    for key, text in _texts(record, tags):
        if text:
            attribute = attributes.add()
            attribute.key = key
            # PostgreSQL has no NUL in text, and would refuse all that comes with this one.
            attribute.value.string_value = text.replace("\0", "\ufffd")
    for key, value in _values(record):
        attribute = attributes.add()
        attribute.key = key
        _put(attribute.value, value)
    _conclude(found, record)
    return found


def name(record: Record) -> str:
    """Return what the trace is called, `<model> v<version>`; very long ones are cut."""
    return f"{record.model[:_MODEL_CHARACTERS]} v{record.version[:_VERSION_CHARACTERS]}"


def request(spans: Iterable[Span]) -> bytes:
    """Return the body of the request that sends some spans."""
    found = ExportTraceServiceRequest()
    found.resource_spans.add().scope_spans.add().spans.extend(spans)
    return bytes(found.SerializeToString())


def _identity(prediction_id: str) -> bytes:
    try:
        found = bytes.fromhex(prediction_id.replace("-", ""))
    except ValueError:
        found = b""
    # All zeros would be no id at all.
    if len(found) != 16 or not any(found[:8]) or not any(found[8:]):
        raise InvalidInputError("The id is no UUID.", where="id")
    return found


def _texts(record: Record, tags: TraceTags) -> Iterator[tuple[str, str | None]]:
    yield "mlflow.spanType", _SPAN_TYPE
    yield _TAG + "mlflow.traceName", name(record)
    for tag, text in (
        ("model", record.model),
        ("version", record.version),
        ("stage", None if record.stage == "None" else record.stage),
        ("status", record.status),
    ):
        yield f"{_TAG if tag in tags else ''}slipway.{tag}", text
    if record.error is not None:
        yield _TAG + "slipway.error", str(record.error.get("code"))
    yield "user.id", record.caller
    yield "slipway.prediction_id", record.id
    yield "slipway.request_id", record.request_id
    yield "slipway.mode", record.mode
    yield "slipway.input_digest", record.input_digest
    yield "slipway.annotated", record.annotated


def _values(record: Record) -> Iterator[tuple[str, Any]]:
    found = _bounded(record.input, record.input_digest, record.input_ref)
    if found is not None:
        yield "mlflow.spanInputs", found
    found = _bounded(record.output, None, record.output_ref)
    if found is not None:
        yield "mlflow.spanOutputs", found
    if record.cached:
        yield "slipway.cached", True
    if record.confidence is not None:
        yield "slipway.confidence", record.confidence
    if record.phases:
        yield "slipway.phases", record.phases


def _bounded(value: Any, digest: str | None, place: str | None) -> Any:
    """Return an input or an output, or else where it lies; None where nothing is known of it."""
    told: dict[str, Any] = {"digest": digest, "ref": place}
    if value is not None:
        size = len(_json(value))
        if size <= MOST_BYTES:
            return value
        told["bytes"] = size
    return {key: item for key, item in told.items() if item is not None} or None


def _put(target: AnyValue, value: Any) -> None:
    """Write a JSON value the way in which MLflow reads it.

    It takes text, lists and objects as JSON in a string; a number in there would stay text.
    """
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, int) and -(2**63) <= value < 2**63:
        target.int_value = value
    else:
        target.string_value = _json(value).decode()


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError as error:  # nested too deeply
        raise InvalidInputError("There is no JSON of the record.", where="record") from error


def _conclude(found: Span, record: Record) -> None:
    """Write how it ended: the state, and an exception as OpenTelemetry's conventions have it."""
    if record.status == SUCCEEDED:
        found.status.code = Status.STATUS_CODE_OK
        return
    error = record.error or {}
    words = [str(error[key]) for key in ("code", "message") if error.get(key)]
    found.status.code = Status.STATUS_CODE_ERROR
    found.status.message = ": ".join(words) or record.status
    if record.error is None:
        return
    event = found.events.add(name="exception", time_unix_nano=found.end_time_unix_nano)
    for key, part in (
        ("exception.type", "code"),
        ("exception.message", "message"),
        ("slipway.where", "where"),
        ("slipway.expected", "expected"),
        ("slipway.phase", "phase"),
    ):
        if error.get(part):
            event.attributes.add(key=key).value.string_value = str(error[part])


def _nanoseconds(seconds: float) -> int:
    """Return a time as MLflow's database can hold it, whatever the clock said; to a microsecond."""
    return round(max(0.0, min(_MOST_SECONDS, seconds)) * 1e6) * 1000
