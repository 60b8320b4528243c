"""Blobs: the same bytes once, and no longer than was asked for."""

import os
import time
from pathlib import Path

import pytest

from services.ledger import blobs
from services.ledger.places import Places

_JPEG = b"\xff\xd8\xff" + b"x" * 100


def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    places, name = Places(tmp_path), blobs.picture_name(_JPEG)
    assert name == f"{blobs.digest(_JPEG)}.jpg"
    for _ in range(2):
        blobs.store(places, name, _JPEG)
    (only,) = [path for path in places.blobs.rglob("*") if path.is_file()]
    assert only == blobs.path(places, name)
    assert only.read_bytes() == _JPEG


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a.jpg", "A" * 64 + ".jpg", "a" * 64])
def test_only_names_of_blobs_lead_to_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name of a blob"):
        blobs.path(Places(tmp_path), name)


def test_the_oldest_go_first(tmp_path: Path) -> None:
    places = Places(tmp_path)
    names = []
    for number in range(4):
        data = bytes([number]) * 1000
        names.append(blobs.picture_name(data))
        blobs.store(places, names[-1], data)
        age = time.time() - (4 - number) * 86_400
        os.utime(blobs.path(places, names[-1]), (age, age))
    assert blobs.prune(places, 3.5, 10**6, dry_run=True) == (1, 1000)
    assert blobs.prune(places, 3.5, 10**6) == (1, 1000)
    assert blobs.prune(places, 0, 1500) == (2, 2000)
    assert [blobs.path(places, name).exists() for name in names] == [False, False, False, True]


def test_what_comes_again_counts_as_new(tmp_path: Path) -> None:
    places, name = Places(tmp_path), blobs.picture_name(_JPEG)
    blobs.store(places, name, _JPEG)
    os.utime(blobs.path(places, name), (1, 1))
    blobs.store(places, name, _JPEG)
    assert blobs.prune(places, 1, 10**6) == (0, 0)
