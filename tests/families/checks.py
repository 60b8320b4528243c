"""What the contract test looks for in files and in outputs."""

import math
import zipfile
from pathlib import Path
from typing import Any


def refuse_pickle(name: str, content: bytes, path: Path) -> None:
    """Fail where a file is a pickle, or holds one, unless torch reads it with weights_only."""
    if path.suffix in (".pt", ".pth"):
        import torch

        torch.load(path, weights_only=True)
        return
    assert not name.endswith((".pkl", ".pickle", ".joblib"))
    assert content[:2] not in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), name
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for inside in archive.namelist():
                head = archive.read(inside)
                assert not inside.endswith((".pkl", ".pickle"))
                assert head[:1] != b"\x80", inside
                # An .npy array of objects is a pickle within.
                assert b"'descr': '|O'" not in head[:200], inside


def near(one: Any, other: Any) -> bool:
    """Say whether two outputs are equal, up to rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(near(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(near, one, other))
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-5)
    return bool(one == other)
