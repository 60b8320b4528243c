"""What goes into the segmenter and comes out of it, through a queue."""

from typing import Any

import pytest

from services.families.base import Picture
from services.families.cutler import FAMILY
from services.families.cutler.model import load_model
from services.families.cutler.schema import Segmentation, SegmentationInput
from tests.conftest import MakeSettings
from tests.families.queue import through_a_queue
from tests.support.pictures import blobs_as


@pytest.mark.parametrize(
    "payload",
    [
        Picture(b"plain"),
        SegmentationInput(b"\xff\xd8\xff"),
        SegmentationInput(b"x", threshold=0.0, want_image=False, want_masks=False),
        SegmentationInput(b"x", threshold=0.75, want_image=True, want_masks=False),
        {"inputs": "aGVsbG8="},
    ],
)
def test_payloads(payload: Any) -> None:
    found = FAMILY.unpack_payload(*through_a_queue(FAMILY.pack_payload(payload)))
    assert type(found) is type(payload)
    assert found == payload


def test_what_the_model_answers(make_settings: MakeSettings) -> None:
    model = load_model(make_settings(cutler_device="cpu", cutler_precision="fp32"))
    try:
        asked = SegmentationInput(blobs_as("PNG"), threshold=0.0)
        prepared = model.preprocess(asked)
        (raw,) = model.infer([prepared])
        output = model.postprocess(prepared, raw)
    finally:
        model.close()
    assert output.image
    found = FAMILY.unpack_output(*through_a_queue(FAMILY.pack_output(output)))
    assert isinstance(found, Segmentation)
    assert found == output
