"""Payloads of every family come out of a queue as they went in."""

import numpy as np
import pytest

from services.families import discover
from services.families.base import Picture
from tests.families.queue import through_a_queue
from tests.families.test_contract import BAD_ROWS


@pytest.mark.parametrize("name", list(discover()))
def test_payloads_gothrough_a_queue(name: str) -> None:
    family = discover()[name]
    if family.takes == "picture":
        payloads: list[object] = [Picture(b""), Picture(b"\xff\xd8\xff\x00 any bytes \x80")]
    else:
        payloads = [{family.field or "inputs": rows} for rows in BAD_ROWS]
        payloads.append({"inputs": {"a": [1, None, 2.5]}, "params": {"top": 3}})
    for payload in payloads:
        found = family.unpack_payload(*through_a_queue(family.pack_payload(payload)))
        assert type(found) is type(payload)
        assert repr(found) == repr(payload)
    arrays = {"inputs": np.arange(6, dtype="f4").reshape(2, 3)}
    found = family.unpack_payload(*through_a_queue(family.pack_payload(arrays)))
    assert found["inputs"].dtype == np.float32
    assert found["inputs"].tolist() == arrays["inputs"].tolist()
