"""A record as a trace: what stands in it. What MLflow makes of it: `test_traces_mlflow.py`."""

import hashlib
import math
import os
import time
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from services.core.errors import InvalidInputError
from services.core.ids import new_id
from services.core.setting_types import TraceTags
from services.ledger.records import Record
from services.ledger.shipping import otlp
from tests.ledger.database.made import record

ALL: TraceTags = ("model", "version", "stage", "status")


def span_of(one: Record, tags: TraceTags = ALL) -> Span:
    return otlp.span(one, tags=tags)


def attributes(span: Span) -> dict[str, Any]:
    """Return the attributes as Python values."""
    found: dict[str, Any] = {}
    for attribute in span.attributes:
        kind = attribute.value.WhichOneof("value")
        assert attribute.key not in found
        found[attribute.key] = None if kind is None else getattr(attribute.value, kind)
    return found


def test_one_span_with_the_ids_of_the_prediction() -> None:
    name = new_id()
    span = span_of(record(id=name, model="credit", version="7"))
    assert span.trace_id.hex() == name.replace("-", "")
    assert span.span_id == span.trace_id[8:]
    assert not span.parent_span_id
    assert span.name == "credit v7"


def test_its_times_are_those_of_the_record() -> None:
    span = span_of(record(time=1_795_219_200.125, seconds=0.25))
    assert span.start_time_unix_nano == 1_795_219_200_125_000_000
    assert span.end_time_unix_nano - span.start_time_unix_nano == 250_000_000


def test_the_same_record_gives_the_same_bytes() -> None:
    one = record()
    assert otlp.request([span_of(one)]) == otlp.request([span_of(one)])


def test_what_can_be_searched_for_is_a_tag() -> None:
    found = attributes(span_of(record(model="credit", version="7", stage="Staging")))
    tags = {key: value for key, value in found.items() if key.startswith("mlflow.traceTag.")}
    assert tags == {
        "mlflow.traceTag.mlflow.traceName": "credit v7",
        "mlflow.traceTag.slipway.model": "credit",
        "mlflow.traceTag.slipway.version": "7",
        "mlflow.traceTag.slipway.stage": "Staging",
        "mlflow.traceTag.slipway.status": "succeeded",
    }


@pytest.mark.parametrize("tags", [(), ("model",), ("status", "version"), ALL[::-1]])
def test_what_is_to_be_no_tag_is_an_attribute(tags: TraceTags) -> None:
    one = record(model="credit", version="7", stage="Staging")
    found = attributes(span_of(one, tags))
    assert found["mlflow.traceTag.mlflow.traceName"] == "credit v7"
    for tag in ALL:
        key, other = f"mlflow.traceTag.slipway.{tag}", f"slipway.{tag}"
        if tag not in tags:
            key, other = other, key
        assert found[key] == getattr(one, tag)
        assert other not in found


def test_without_tags_an_error_is_still_one() -> None:
    error = {"code": "prediction_failed", "message": "it broke"}
    span = span_of(record(status="failed", error=error), ())
    assert span.status.code == Status.STATUS_CODE_ERROR
    found = attributes(span)
    assert found["slipway.status"] == "failed"
    assert found["mlflow.traceTag.slipway.error"] == "prediction_failed"


@pytest.mark.parametrize("stage", [None, "None"])
def test_no_stage_is_no_tag(stage: str | None) -> None:
    assert "mlflow.traceTag.slipway.stage" not in attributes(span_of(record(stage=stage)))
    assert "slipway.stage" not in attributes(span_of(record(stage=stage), ()))


def test_the_rest_is_an_attribute() -> None:
    one = record(
        request_id="r-1", caller="alice", confidence=0.25, cached=True,
        input_digest="sha256:" + "0" * 64,
    )  # fmt: skip
    found = attributes(span_of(one))
    assert found["user.id"] == "alice"
    assert found["slipway.prediction_id"] == one.id
    assert found["slipway.request_id"] == "r-1"
    assert found["slipway.mode"] == "sync"
    assert found["slipway.input_digest"] == "sha256:" + "0" * 64
    assert found["slipway.confidence"] == 0.25
    assert found["slipway.cached"] is True
    assert orjson.loads(found["slipway.phases"]) == one.phases


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, None]}, '{"a":[1,null]}'), ([1.5], "[1.5]"), ("text", '"text"'), ("", '""'),
        (5, 5), (-(2**63), -(2**63)), (2**64 - 1, str(2**64 - 1)), (2.5, 2.5), (False, False),
    ],
)  # fmt: skip
def test_values_as_mlflow_reads_them(value: Any, expected: Any) -> None:
    found = attributes(span_of(record(input=value, output=value)))
    assert found["mlflow.spanInputs"] == found["mlflow.spanOutputs"] == expected
    assert type(found["mlflow.spanInputs"]) is type(expected)


def test_what_lies_elsewhere_is_referred_to() -> None:
    place = hashlib.sha256(b"picture").hexdigest()
    found = attributes(
        span_of(
            record(
                input=None, input_digest=f"sha256:{place}", input_ref=f"{place}.png",
                output=None, output_ref=f"{place}.json",
            )
        )
    )  # fmt: skip
    assert orjson.loads(found["mlflow.spanInputs"]) == {
        "digest": f"sha256:{place}", "ref": f"{place}.png",
    }  # fmt: skip
    assert orjson.loads(found["mlflow.spanOutputs"]) == {"ref": f"{place}.json"}


def test_what_was_left_out_is_left_out() -> None:
    found = attributes(span_of(record(input=None, output=None, stage=None, phases=None)))
    assert not {"mlflow.spanInputs", "mlflow.spanOutputs", "slipway.phases"} & found.keys()
    assert "mlflow.traceTag.slipway.stage" not in found


def test_large_values_are_not_sent() -> None:
    fits, large = "x" * (otlp.MOST_BYTES - 2), "x" * (otlp.MOST_BYTES - 1)
    found = attributes(span_of(record(input=fits, output=large)))
    assert found["mlflow.spanInputs"] == f'"{fits}"'
    assert orjson.loads(found["mlflow.spanOutputs"]) == {"bytes": otlp.MOST_BYTES + 1}


def test_a_failure_is_an_exception() -> None:
    error = {
        "code": "prediction_failed", "message": "it broke", "where": "age",
        "expected": "a number", "phase": "inference",
    }  # fmt: skip
    span = span_of(record(status="failed", error=error, output=None, confidence=None))
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert span.status.message == "prediction_failed: it broke"
    (event,) = span.events
    assert event.name == "exception"
    assert event.time_unix_nano == span.end_time_unix_nano
    assert {one.key: one.value.string_value for one in event.attributes} == {
        "exception.type": "prediction_failed", "exception.message": "it broke",
        "slipway.where": "age", "slipway.expected": "a number", "slipway.phase": "inference",
    }  # fmt: skip
    assert attributes(span)["mlflow.traceTag.slipway.error"] == "prediction_failed"


def test_a_cancellation_without_an_error_is_one_too() -> None:
    span = span_of(record(status="canceled"))
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert span.status.message == "canceled"
    assert not span.events


@pytest.mark.parametrize("moment", [-1.0, 1e300, 0.0])
@pytest.mark.parametrize("seconds", [-1.0, 1e300, 0.0])
def test_times_that_no_database_holds(moment: float, seconds: float) -> None:
    span = span_of(record(time=moment, seconds=seconds))
    assert 0 <= span.start_time_unix_nano <= span.end_time_unix_nano < 2**63


def test_hostile_names() -> None:
    found = span_of(record(model="m" * 256, version="v" * 64, caller="nul\0", request_id="\0"))
    assert len(found.name) <= 250
    assert attributes(found)["mlflow.traceTag.slipway.model"] == "m" * 256
    assert attributes(found)["user.id"] == "nul\ufffd"


@pytest.mark.parametrize("name", ["", "x", "00000000-0000-0000-0000-000000000000", "ab" * 15])
def test_no_trace_without_an_id(name: str) -> None:
    with pytest.raises(InvalidInputError):
        span_of(record(id=name))


def test_no_trace_of_what_is_nested_beyond_measure() -> None:
    value: Any = []
    for _ in range(500):
        value = [value]
    made = record()
    object.__setattr__(made, "input", value)
    with pytest.raises(InvalidInputError):
        span_of(made)


def test_a_request_holds_all_its_spans() -> None:
    spans = [span_of(record()) for _ in range(100)]
    request = ExportTraceServiceRequest()
    request.ParseFromString(otlp.request(spans))
    assert list(request.resource_spans[0].scope_spans[0].spans) == spans


def test_a_trace_is_cheap() -> None:
    """30 µs were measured; this only catches a change of kind."""
    records = [record() for _ in range(300)]
    best = math.inf
    for _ in range(5):
        began = time.perf_counter()
        for one in records:
            span_of(one)
        best = min(best, time.perf_counter() - began)
    assert best / len(records) < (1e-3 if os.environ.get("CI") else 5e-4)
