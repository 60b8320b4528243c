"""Payloads and outputs through a row and the blobs: the same again, whatever the family."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.core.errors import NotFoundError
from services.families.base import Picture
from services.families.cutler.schema import Instance, Rle, Segmentation, SegmentationInput
from services.jobs import payloads
from services.jobs.blobs import Blobs
from tests.conftest import MakeSettings

_PNG = b"\x89PNG" + bytes(range(256)) * 100
_INLINE = 1000


@dataclass(frozen=True)
class _Job:
    options: dict[str, Any]
    payload: str | None


@pytest.fixture
def blobs(make_settings: MakeSettings, tmp_path: Path) -> Blobs:
    return Blobs(make_settings(job_blobs=str(tmp_path / "blobs")))


def _kept(folder: Path) -> list[Path]:
    return [path for path in (folder / "blobs").rglob("*") if path.is_file()]


def _through(payload: Any, blobs: Blobs, family: str | None = None) -> Any:
    packed = payloads.pack(payload, blobs, _INLINE, family)
    job = _Job(json.loads(json.dumps(packed.options)), packed.ref)
    assert len(json.dumps(packed.options)) < 2 * _INLINE
    return payloads.unpack(job, blobs)  # type: ignore[arg-type]


_LARGE = {"features": [0.1 * n for n in range(2000)]}
_PAYLOADS = [
    {"features": [1.5, None, float("inf")]},
    _LARGE,
    {"reviews": ["so so \ud800"]},
    Picture(_PNG),
    Picture(b"tiny"),
    SegmentationInput(_PNG, threshold=0.3, want_image=False, want_masks=True),
    SegmentationInput(_PNG),
]


@pytest.mark.parametrize("family", [None, "nobody-knows-it"])
@pytest.mark.parametrize("payload", _PAYLOADS, ids=lambda one: type(one).__name__)
def test_payloads_come_back(blobs: Blobs, payload: Any, family: str | None) -> None:
    found = _through(payload, blobs, family)
    assert type(found) is type(payload)
    assert found == payload


@pytest.mark.parametrize("family", ["tabular", "cutler", "shapes"])
def test_a_familys_own_hooks_are_asked(blobs: Blobs, family: str) -> None:
    payload = {"tabular": {"inputs": [1]}, "cutler": _PAYLOADS[5], "shapes": Picture(_PNG)}[family]
    assert _through(payload, blobs, family) == payload


def test_arrays_come_back(blobs: Blobs) -> None:
    found = _through({"inputs": {"a": np.arange(5000, dtype="f4"), "b": np.array([b"x"])}}, blobs)
    assert found["inputs"]["a"].dtype == np.float32
    assert found["inputs"]["a"].tolist() == list(range(5000))
    assert found["inputs"]["b"].tolist() == [b"x"]


def test_what_is_small_needs_no_blob(blobs: Blobs, tmp_path: Path) -> None:
    packed = payloads.pack({"features": [1, 2]}, blobs, _INLINE)
    assert packed.ref is None and not _kept(tmp_path)
    packed = payloads.pack(_LARGE, blobs, _INLINE)
    assert packed.ref is not None and len(_kept(tmp_path)) == 1


def test_a_blob_that_is_gone_is_said(blobs: Blobs) -> None:
    packed = payloads.pack(_LARGE, blobs, _INLINE)
    assert packed.ref is not None
    blobs.delete(packed.ref)
    with pytest.raises(NotFoundError):
        payloads.unpack(_Job(packed.options, packed.ref), blobs)  # type: ignore[arg-type]


def test_what_tells_requests_apart(blobs: Blobs) -> None:
    made = [payloads.pack(payload, blobs, _INLINE) for payload in _PAYLOADS]
    assert len({one.fingerprint_bytes for one in made}) == len(_PAYLOADS)
    again = [payloads.pack(payload, blobs, _INLINE) for payload in _PAYLOADS]
    assert [one.fingerprint_bytes for one in again] == [one.fingerprint_bytes for one in made]


_SEEN = Segmentation(
    (480, 640),
    (
        Instance((0.5, 1.25, 30.1, 40.0), 0.97, 812, Rle((480, 640), "abc`1\\2")),
        Instance((1.0, 2.0, 3.0, 4.0), 0.5, 3, None),
    ),
    _PNG,
)


@pytest.mark.parametrize(
    ("family", "output"),
    [
        ("cutler", _SEEN),
        ("cutler", Segmentation((1, 1), (), None)),
        ("cutler", Segmentation((1, 1), (), b"")),
        ("cutler", Segmentation((9, 9), _SEEN.instances * 300, b"\xff\xd8\xff small")),
        ("tabular", {"predictions": [0.1] * 5, "none": None}),
        ("tabular", _LARGE),
        (None, {"anything": [1, 2.5, "x"]}),
    ],
)
def test_outputs_come_back(blobs: Blobs, family: str | None, output: Any) -> None:
    packed = payloads.pack_output(family, output, blobs, _INLINE)
    row = json.loads(json.dumps({"output": packed}))
    assert len(json.dumps(row)) < 2 * _INLINE
    assert payloads.unpack_output(row["output"], blobs) == output
    assert payloads.unpack_result({**row, "seconds": 1}, blobs) == {"output": output, "seconds": 1}
    ref = payloads.ref_of(row)
    assert ref is None or blobs.get(ref)


def test_an_output_of_a_family_that_is_gone(blobs: Blobs) -> None:
    packed = payloads.pack_output("cutler", _SEEN, blobs, 10**6)
    with pytest.raises(NotFoundError):
        payloads.unpack_output({**packed, "family": "gone"}, blobs)


def test_small_outputs_can_be_shown_as_json(blobs: Blobs) -> None:
    packed = payloads.pack_output("tabular", {"a": [1, None]}, blobs, _INLINE)
    assert payloads.inline_json(packed) == {"a": [1, None]}
    assert payloads.inline_json(payloads.pack_output("cutler", _SEEN, blobs, _INLINE)) is None
