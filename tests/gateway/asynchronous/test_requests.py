"""What `Prefer` and `Idempotency-Key` say."""

import pytest
from fastapi import FastAPI
from starlette.requests import Request

from services.core.errors import InvalidInputError
from services.gateway.job_requests import Preference, idempotency_key, preference
from tests.conftest import settings_for_tests

APP = FastAPI()
APP.state.settings = settings_for_tests(request_timeout=30.5)


def request(*headers: tuple[str, str]) -> Request:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return Request({"type": "http", "headers": raw, "app": APP})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], Preference()),
        (["respond-async"], Preference(True)),
        (["Respond-Async"], Preference(True)),
        (["respond-async; foo=bar"], Preference(True)),
        (["respond-async, wait=10"], Preference(True, 10)),
        (["wait=10", "respond-async"], Preference(True, 10)),
        (["wait"], Preference(False, 30)),
        (["wait=5, wait=20"], Preference(False, 5)),
        (['wait="7"'], Preference(False, 7)),
        (["wait=0"], Preference(False, 0)),
        (["wait=999999"], Preference(False, 30)),
        # What is not understood counts as not said.
        (["wait=-1"], Preference()),
        (["wait=1.5"], Preference()),
        (["wait=99999999999999999999"], Preference()),
        (["wait=\u00b2"], Preference()),
        (["return=minimal, handling=lenient"], Preference()),
        (["", ",,;="], Preference()),
    ],
)
def test_preferences(lines: list[str], expected: Preference) -> None:
    assert preference(request(*(("Prefer", line) for line in lines))) == expected


@pytest.mark.parametrize("key", ["a", "k" * 255, '"8e03978e-40d5-43e8-bc93-6894a57f9324"', "!~"])
def test_keys(key: str) -> None:
    assert idempotency_key(request(("Idempotency-Key", key))) == key


@pytest.mark.parametrize("key", ["", "k" * 256, "two words", "a\tb", "caf\u00e9", "\x7f"])
def test_keys_that_are_none(key: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        idempotency_key(request(("Idempotency-Key", key)))
    assert caught.value.where == "Idempotency-Key"
    assert not key or key not in f"{caught.value.message}{caught.value.received}"


def test_no_key() -> None:
    assert idempotency_key(request()) is None
