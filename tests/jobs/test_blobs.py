"""Blobs: durable before they are named, checked when they are read, and never outside."""

import errno
import io
import os
import time
from pathlib import Path
from typing import Any

import pytest

from services.core.errors import (
    CheckpointError,
    ConfigurationError,
    LedgerFullError,
    LedgerUnavailableError,
    NotFoundError,
)
from services.jobs.blobs import Blobs, digest
from tests.conftest import MakeSettings

DATA = bytes(range(256)) * 9000


@pytest.fixture(params=["folder", "memory"])
def blobs(request: pytest.FixtureRequest, make_settings: MakeSettings, tmp_path: Path) -> Blobs:
    settings = make_settings()
    if request.param == "memory":
        # Settings take none that forgets; it stands for those of fsspec's that do not.
        settings = settings.model_copy(update={"job_blobs": f"memory://{tmp_path.name}"})
    return Blobs(settings)


def age(tmp_path: Path, ref: str, seconds: float) -> Path:
    """Make a blob of a folder older."""
    place = tmp_path / "jobs" / "blobs" / ref[:2] / ref
    os.utime(place, (time.time() - seconds,) * 2)
    return place


def test_bytes_come_back(blobs: Blobs) -> None:
    ref = blobs.put(DATA)
    assert ref == f"{digest(DATA)}.bin" == blobs.put(DATA)
    assert blobs.get(ref) == DATA
    assert max(len(piece) for piece in blobs.stream(ref)) <= 1024 * 1024
    named = blobs.put_file(io.BytesIO(DATA), "zip")
    copy = io.BytesIO()
    blobs.fetch(named, copy)
    assert named == f"{digest(DATA)}.zip" and copy.getvalue() == DATA
    assert blobs.size() == 2 * len(DATA)
    assert blobs.put(b"") and blobs.has(ref)
    assert blobs.delete(ref) and not blobs.delete(ref) and not blobs.has(ref)
    with pytest.raises(NotFoundError):
        blobs.get(ref)


@pytest.mark.parametrize(
    "ref", ["../../etc/passwd", "x", "", "0" * 64, "0" * 64 + ".../x", "0" * 64 + ".bin/../../x"]
)
def test_only_names_of_blobs_are_looked_for(blobs: Blobs, ref: str) -> None:
    for ask in (blobs.get, blobs.has, blobs.delete):
        with pytest.raises(NotFoundError):
            ask(ref)
    with pytest.raises(ValueError, match="suffix"):
        blobs.put(b"x", "../x")


def test_what_was_changed_is_noticed(make_settings: MakeSettings, tmp_path: Path) -> None:
    blobs = Blobs(make_settings())
    ref = blobs.put(DATA)
    age(tmp_path, ref, 0).write_bytes(DATA[:-1])
    with pytest.raises(CheckpointError):
        blobs.get(ref)


def test_old_ones_are_found_and_young_ones_stay(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    blobs = Blobs(make_settings())
    old, kept, young = blobs.put(b"old"), blobs.put(b"kept"), blobs.put(b"young")
    age(tmp_path, old, 100)
    age(tmp_path, kept, 100)
    assert set(blobs.older_than(50)) == {old, kept}
    # The same bytes again make it young.
    assert blobs.put(b"kept") == kept
    assert set(blobs.older_than(50)) == {old}
    assert blobs.delete(old, younger=50)
    assert not blobs.delete(kept, younger=50) and not blobs.delete(young, younger=50)
    assert blobs.get(kept) == b"kept"
    assert list(blobs.older_than(-1)) and not blobs.has(old)


def test_drafts_of_the_dead_go(make_settings: MakeSettings, tmp_path: Path) -> None:
    blobs = Blobs(make_settings())
    place = age(tmp_path, blobs.put(b"a"), 0)
    drafts = [place.parent / name for name in (".old", ".new")]
    for draft in drafts:
        draft.write_bytes(b"half")
    os.utime(drafts[0], (0, 0))
    assert [ref[:64] for ref in blobs.older_than(-60)] == [digest(b"a")]
    assert [draft.exists() for draft in drafts] == [False, True]


def test_a_full_disk_and_a_broken_one(
    make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = Blobs(make_settings())

    def fails(number: int) -> Any:
        def fsync(_: int) -> None:
            raise OSError(number, os.strerror(number))

        return fsync

    for number, kind in ((errno.ENOSPC, LedgerFullError), (errno.EIO, LedgerUnavailableError)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fails(number))
            with pytest.raises(kind) as caught:
                blobs.put(DATA)
        assert caught.value.retry_after
        assert str(tmp_path) not in str(caught.value)
    assert [path for path in (tmp_path / "jobs").rglob("*") if path.is_file()] == []


def test_places(make_settings: MakeSettings, tmp_path: Path) -> None:
    for place in (f"file://{tmp_path}/a", str(tmp_path / "b")):
        assert Blobs(make_settings(job_blobs=place)).put(b"x")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
    for place in ("s3://bucket/folder", "nobody-knows://x"):
        settings = make_settings().model_copy(update={"job_blobs": place})
        with pytest.raises(ConfigurationError) as caught:
            Blobs(settings)
        assert caught.value.where == "JOB_BLOBS"
