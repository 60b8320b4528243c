"""Identifiers: unique, in order of time, and never what a caller likes to inject."""

import os
import time
import uuid

import pytest

from services.core.ids import new_id, request_id


def test_new_ids_are_version_7_and_in_order() -> None:
    ids = []
    for _ in range(5):
        ids.append(new_id())
        time.sleep(0.002)
    assert ids == sorted(ids)
    for identifier in ids:
        parsed = uuid.UUID(identifier)
        assert parsed.version == 7
        assert parsed.variant == uuid.RFC_4122
        assert abs((parsed.int >> 80) / 1000 - time.time()) < 5


def test_new_ids_do_not_repeat() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_a_child_process_does_not_repeat_its_parents_ids() -> None:
    new_id()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, "".join(new_id()[-12:] for _ in range(10)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 4096).decode()
    os.close(read)
    os.close(write)
    assert len(theirs) == 120
    assert not {new_id()[-12:] for _ in range(300)} & {
        theirs[start : start + 12] for start in range(0, 120, 12)
    }


@pytest.mark.parametrize("inbound", ["abc", "A-1:2_3.x", "x" * 128])
def test_a_harmless_id_is_kept(inbound: str) -> None:
    assert request_id(inbound) == inbound


@pytest.mark.parametrize("inbound", [None, "", "x" * 129, "a b", "a\nb", "ä", "<script>", "a\n"])
def test_any_other_id_is_replaced(inbound: str | None) -> None:
    assert uuid.UUID(request_id(inbound)).version == 7
