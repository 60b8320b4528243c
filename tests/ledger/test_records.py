"""Records are read back as they were written, or refused."""

import orjson
import pytest

from services.core.errors import InvalidInputError
from services.ledger.records import day, parse
from tests.ledger.journals import record


def test_a_record_is_read_as_it_was_written() -> None:
    written = record(caller="somebody", stage=None, cached=True)
    found = parse(orjson.dumps(written))
    assert {name: getattr(found, name) for name in written if name != "v"} == {
        name: value for name, value in written.items() if name != "v"
    }
    assert orjson.loads(found.raw) == written


def test_the_day_is_that_of_greenwich() -> None:
    assert day(parse(orjson.dumps(record(time=1_763_769_599.9)))) == "2025-11-21"
    assert day(parse(orjson.dumps(record(time=1_763_769_600.0)))) == "2025-11-22"


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"{}", b"\xff", b'{"id":1}'])
def test_what_is_no_record(payload: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse(payload)


@pytest.mark.parametrize(
    ("name", "value"),
    [("time", "now"), ("id", 7), ("caller", 7), ("error", "broken"), ("confidence", "high")],
)
def test_fields_of_another_kind(name: str, value: object) -> None:
    with pytest.raises(InvalidInputError) as raised:
        parse(orjson.dumps(record(**{name: value})))
    assert raised.value.where == name
