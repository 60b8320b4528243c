"""Frames are found again whatever happened to the bytes around them."""

from hypothesis import given
from hypothesis import strategies as st

from services.ledger.frames import HEAD_BYTES, PREDICTION, Frame, Scan, encode, scan

Payloads = st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=8)


def _scan(data: bytes, base: int = 0) -> tuple[list[Frame], Scan]:
    state = Scan(end=base)
    return list(scan(data, state, base)), state


@given(Payloads)
def test_what_is_written_is_read(payloads: list[bytes]) -> None:
    data = b"".join(encode(PREDICTION, payload) for payload in payloads)
    frames, state = _scan(data, 100)
    assert [frame.payload for frame in frames] == payloads
    assert frames[0].start == 100
    assert state == Scan(end=100 + len(data))


@given(Payloads, st.data())
def test_a_torn_end_is_left_for_later(payloads: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(encode(PREDICTION, payload) for payload in payloads[:-1])
    last = encode(PREDICTION, payloads[-1])
    cut = data.draw(st.integers(1, len(last) - 1))
    frames, state = _scan(whole + last[:cut])
    assert [frame.payload for frame in frames] == payloads[:-1]
    assert (state.end, state.rest, state.damaged) == (len(whole), cut, 0)


@given(Payloads, Payloads, st.binary(min_size=1, max_size=60))
def test_damage_in_the_middle_costs_only_itself(
    before: list[bytes], after: list[bytes], junk: bytes
) -> None:
    first = b"".join(encode(PREDICTION, payload) for payload in before)
    second = b"".join(encode(PREDICTION, payload) for payload in after)
    frames, state = _scan(first + junk + second)
    assert [frame.payload for frame in frames] == before + after
    assert state.damaged == len(junk)
    assert state.rest == 0


def test_a_flipped_bit_loses_that_record_alone() -> None:
    frames = [encode(PREDICTION, b'{"id":%d}' % number) for number in range(3)]
    broken = bytearray(frames[1])
    broken[HEAD_BYTES + 2] ^= 1
    found, state = _scan(frames[0] + bytes(broken) + frames[2])
    assert [frame.payload for frame in found] == [b'{"id":0}', b'{"id":2}']
    assert state.damaged == len(broken)


def test_a_length_beyond_reason_is_damage() -> None:
    frame = bytearray(encode(PREDICTION, b"x"))
    frame[4:8] = b"\xff\xff\xff\xff"
    good = encode(PREDICTION, b"y")
    found, _ = _scan(bytes(frame) + good)
    assert [one.payload for one in found] == [b"y"]


def test_zeros_of_a_preallocated_or_lost_page_are_no_frames() -> None:
    good = encode(PREDICTION, b"y")
    found, state = _scan(good + bytes(4096))
    assert len(found) == 1
    assert (state.end, state.rest) == (len(good), 4096)
