"""The same mistake has the same status at every door, and gives nothing of the input back."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.conftest import settings_for_tests
from tests.gateway.doors import (
    BROKEN,
    CANARY,
    COLUMNS,
    DOORS,
    MAX_ROWS,
    NUMBER,
    TABLE,
    BrokenFamily,
    Door,
    TableFamily,
    read,
    well_told,
)
from tests.gateway.families import ColourFamily
from tests.support.local import serving
from tests.support.pictures import encoded

# Where a door's own words for rows stand; columns may have tensors of their own.
ROWS = r"^(features|inputs|instances|dataframe_records|dataframe_split\.data)"

Mistake = Callable[[httpx.Client, Door], httpx.Response | None]


def _rows(*rows: Any) -> Mistake:
    return lambda client, door: door.send(client, rows)


def _unknown_column(client: httpx.Client, door: Door) -> httpx.Response | None:
    if door.drops:
        return None
    return door.send(client, [{"x": 1.0, "y": 2.0, f"{CANARY} z": NUMBER}])


def _raw(content: bytes, **headers: str) -> Mistake:
    def send(client: httpx.Client, door: Door) -> httpx.Response:
        label = {"Content-Type": "application/json", **headers}
        return client.post(door.path.format(model=TABLE), content=content, headers=label)

    return send


def _method(client: httpx.Client, door: Door) -> httpx.Response:
    return client.put(door.path.format(model=TABLE), json={"a": CANARY})


def _address(client: httpx.Client, door: Door) -> httpx.Response:
    path = door.path.partition("?")[0].format(model=TABLE)
    return client.post(f"{path}/{CANARY}/invocations", json={})


def _picture(cut: Callable[[bytes], bytes]) -> Mistake:
    whole = encoded(Image.effect_noise((32, 32), 80).convert("RGB"), "PNG")
    return lambda client, door: door.send_picture(client, cut(whole))


# What a door does otherwise, and why.
OTHERWISE: dict[tuple[str, str], int] = {
    # Triton's clients label their bodies in several ways or not at all, so any label is taken.
    ("v2", "another media type"): 422,
    # Any text may stand there in the path; no version has it as its number.
    ("v2", "a version that is none"): 404,
}
CELL = rf"{ROWS}.*(\[1\]|\.y)"
# What is done, the status, where it is, and what is said to have come.
MISTAKES: dict[str, tuple[Mistake, int, str | None, str | None]] = {
    "a row too wide": (_rows([1.0, 2.0, NUMBER]), 422, ROWS, r"3"),
    "a row too short": (_rows([NUMBER]), 422, ROWS, r"1"),
    "text for a number": (_rows([1.0, CANARY]), 422, CELL, "text of 11 characters"),
    "text in a record": (_rows({"x": 1.0, "y": CANARY}), 422, CELL, "text of 11 characters"),
    "null": (_rows([NUMBER, None]), 422, CELL, r"null|not finite"),
    "an unknown column": (_unknown_column, 422, ROWS, r"."),
    "a missing column": (_rows({"x": NUMBER}), 422, rf"{ROWS}.*y", "nothing"),
    "no rows": (_rows(), 422, ROWS, r"empty|0"),
    "too many rows": (_rows(*[[NUMBER, 1.0]] * (MAX_ROWS + 1)), 413, ROWS, r"51"),
    "rows that are none": (lambda c, d: d.send(c, [CANARY]), 422, ROWS, r"text|a list of 1 value"),
    "no JSON": (_raw(f'{{"{CANARY}'.encode()), 400, "^body$", r"bytes"),
    "an endless depth": (_raw(b"[" * 5000), 400, "^body$", r"bytes"),
    "a key twice": (_raw(b'{"inputs": [[1, 2]], "inputs": [[1, 2]]}'), 400, "^body$", r"bytes"),
    "nothing": (_raw(b""), 422, "^body$", r"nothing"),
    "a list for a body": (_raw(json.dumps([CANARY]).encode()), 422, "^body$", r"a list"),
    "a body of its own": (_raw(json.dumps({f"{CANARY} z": NUMBER}).encode()), 422, None, None),
    "a number without end": (_rows([10**400, 1.0]), 400, "^body$", r"bytes"),
    "broken gzip": (
        _raw(gzip.compress(CANARY.encode())[:-4], **{"Content-Encoding": "gzip"}),
        400,
        "^Content-Encoding$",
        r"bytes",
    ),
    "another coding": (
        _raw(b"{}", **{"Content-Encoding": CANARY}),
        415,
        "^Content-Encoding$",
        "another coding",
    ),
    "another media type": (
        _raw(b"{}", **{"Content-Type": f"text/{CANARY}"}),
        415,
        "^Content-Type$",
        "another media type",
    ),
    "an unpacked bomb": (
        _raw(gzip.compress(bytes(400_000)), **{"Content-Encoding": "gzip"}),
        413,
        "^body$",
        r"bytes",
    ),
    "too large": (_raw(b" " * 300_000), 413, "^body$", r"more"),
    "an unknown model": (
        lambda c, d: d.send(c, [[1.0, 2.0]], CANARY),
        404,
        r"^(model|name)$",
        None,
    ),
    "an unknown version": (lambda c, d: d.send_version(c, "9"), 404, "^version$", None),
    "a version that is none": (lambda c, d: d.send_version(c, "%00"), 422, "version", "text"),
    "a model that failed": (lambda c, d: d.send(c, [[1.0, 2.0]], BROKEN), 503, None, None),
    "a damaged picture": (_picture(lambda data: data[:-30]), 422, r"file|inputs|instances", "PNG"),
    "no picture": (_picture(lambda _: CANARY.encode()), 415, r"file|inputs|instances", "bytes"),
    "an empty picture": (_picture(lambda _: b""), 422, r"file|inputs|instances", "0 bytes"),
    "a wrong method": (_method, 405, "^method$", None),
    "no such address": (_address, 404, "^path$", None),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = settings_for_tests(
        data_dir=tmp_path_factory.mktemp("data"),
        max_file_size=200_000,
        max_rows=MAX_ROWS,
        default_model=TABLE,
    )
    families = [TableFamily(), ColourFamily(), BrokenFamily()]
    with serving(settings, {family.name: family for family in families}) as server:
        yield server.client


@pytest.mark.parametrize("name", DOORS)
def test_every_door_answers(client: httpx.Client, name: str) -> None:
    """What follows would prove little at a door that is shut."""
    door = DOORS[name]
    for row in ([1.0, 2.0], dict(zip(COLUMNS, [1.0, 2.0], strict=True))):
        response = door.send(client, [row])
        assert response is not None
        assert response.status_code == 200, response.text
    picture = door.send_picture(client, encoded(Image.new("RGB", (8, 8), "red"), "PNG"))
    assert picture is None or picture.status_code == 200
    version = door.send_version(client, "1")
    assert version is None or version.status_code == 200


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_same_mistake(client: httpx.Client, mistake: str) -> None:
    send, status, where, received = MISTAKES[mistake]
    answers = {name: send(client, door) for name, door in DOORS.items()}
    found = {name: response for name, response in answers.items() if response is not None}
    # At the others it cannot be said.
    assert len(found) >= 4
    for name, response in found.items():
        told = read(response)
        well_told(response, told)
        if (name, mistake) in OTHERWISE:
            assert told.status == OTHERWISE[name, mistake], (name, told)
            continue
        assert told.status == status, (name, told)
        assert where is None or (told.where and re.search(where, told.where)), (name, told)
        came = told.received or ""
        assert received is None or re.search(received, came), (name, told)


@pytest.mark.parametrize("name", DOORS)
def test_help_leads_to_the_signature(client: httpx.Client, name: str) -> None:
    """Where the body has told which model it is for, or the address."""
    response = DOORS[name].send(client, [[1.0, CANARY]])
    assert response is not None
    told = read(response)
    if name != "batch":
        assert told.help == f"/models/{TABLE}"
        signature = client.get(told.help).json()["signature"]
        assert [column["name"] for column in signature["inputs"]] == list(COLUMNS)


NAMES = {
    "control characters": "a%00%0a%1b[31m%7f",
    "markup": "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "percent": "%25%32%66..%2f..%2fetc",
    "half a character": "%ed%a0%80",
    "no text": "%ff%fe",
    "long": "n" * 5000,
    "umlauts": "%C3%BC%F0%9F%98%80",
    "a quote": "a%22b%5C",
    "dots": "..%2e",
}


@pytest.mark.parametrize("hostile", NAMES)
@pytest.mark.parametrize("name", [name for name, door in DOORS.items() if "{model}" in door.path])
def test_a_hostile_name(client: httpx.Client, name: str, hostile: str) -> None:
    """It is no model's; `help` never repeats it."""
    response = DOORS[name].send(client, [[1.0, 2.0]], NAMES[hostile])
    assert response is not None
    told = read(response)
    assert told.status in (404, 422), response.text
    assert told.request_id == response.headers["X-Request-ID"]
    assert len(response.content) < 1000
    for part in ("script", "\u001b", "etc", "nnnn"):
        assert part not in response.text


@pytest.mark.parametrize("name", DOORS)
def test_hostile_values(client: httpx.Client, name: str) -> None:
    deep: Any = 1.0
    for _ in range(40):
        deep = [deep]
    wide = [[NUMBER] * 2000]
    for row in ([True, 1.0], [1.0, deep], [1.0, {CANARY: CANARY * 500}], [1.0, wide]):
        response = DOORS[name].send(client, [row])
        assert response is not None
        told = read(response)
        assert told.status == 422, response.text
        well_told(response, told)
        assert len(response.content) < 2000
