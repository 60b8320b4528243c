"""A baseline as bytes: an archive of plain arrays (.npz), one of them JSON in UTF-8."""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from services.core.errors import CheckpointError
from services.monitoring.drift import categories, numbers
from services.monitoring.drift.categories import CategoryProfile
from services.monitoring.drift.embedded import EmbeddedProfile
from services.monitoring.drift.numbers import NumberProfile
from services.monitoring.drift.watched import EMBEDDED, Profile, Watched

VERSION = 1

_HEAD = "head"
_MOST_BYTES = 4 << 20
_MOST_UNPACKED = 16 << 20
_KINDS = (numbers.KIND, categories.KIND, *EMBEDDED)

Group = Mapping[str, Watched]


def pack(head: Mapping[str, Any], groups: Mapping[str, Group]) -> bytes:
    """Return an archive of JSON values and features."""
    arrays: dict[str, NDArray[Any]] = {}
    described: dict[str, list[dict[str, Any]]] = {}
    for group, features in groups.items():
        described[group] = []
        for place, (name, one) in enumerate(features.items()):
            meta, own = (None, {}) if one.profile is None else one.profile.state()
            entry = {"name": name, "kind": one.kind, "absent": one.absent, "profile": meta}
            described[group].append(entry)
            arrays |= {f"{group}/{place}/{key}": array for key, array in own.items()}
    text = orjson.dumps({"version": VERSION, **head, "groups": described})
    arrays[_HEAD] = np.frombuffer(text, np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack(payload: bytes, groups: Sequence[str]) -> tuple[dict[str, Any], dict[str, Group]]:
    """Read an archive; the JSON has at least the keys `fields`, `rows`, `created`, `skipped`.

    Raises:
        CheckpointError: it is damaged, of another version, or of another kind.
    """
    try:
        arrays = _arrays(payload)
        head = orjson.loads(arrays.pop(_HEAD).tobytes())
        if head["version"] != VERSION:
            raise _refused(f"The drift baseline is of version {int(head['version'])}.")
        float(head["rows"]), float(head["created"]), iter(head["fields"]), iter(head["skipped"])
        found = {group: _features(group, head["groups"][group], arrays) for group in groups}
    # Bytes of any kind may come: each of these is a library's way to say so.
    except (
        AttributeError, EOFError, KeyError, NotImplementedError, OSError, OverflowError,
        RuntimeError, TypeError, ValueError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise _refused("The drift baseline is damaged.") from error
    return head, found


def _arrays(payload: bytes) -> dict[str, NDArray[Any]]:
    """Unpack, within bounds; what is no plain array is refused, never run."""
    if len(payload) > _MOST_BYTES:
        raise ValueError("size")
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MOST_UNPACKED:
            raise ValueError("size")
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        arrays: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
    for array in arrays.values():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError("not finite")
    return arrays


def _features(
    group: str, entries: Sequence[dict[str, Any]], arrays: Mapping[str, NDArray[Any]]
) -> Group:
    found = {}
    for place, entry in enumerate(entries):
        prefix = f"{group}/{place}/"
        own = {
            key.removeprefix(prefix): array
            for key, array in arrays.items()
            if key.startswith(prefix)
        }
        before, of = entry["absent"]
        profile = None if entry["profile"] is None else _profile(entry, own)
        found[str(entry["name"])] = Watched(str(entry["kind"]), (int(before), int(of)), profile)
    return found


def _profile(entry: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Profile:
    kind, meta = entry["kind"], entry["profile"]
    if kind not in _KINDS:
        raise ValueError("kind")
    if kind == numbers.KIND:
        return NumberProfile.restore(meta, arrays)
    if kind == categories.KIND:
        return CategoryProfile.restore(meta, arrays)
    return EmbeddedProfile.restore(kind, meta, arrays)


def _refused(message: str) -> CheckpointError:
    return CheckpointError(
        message,
        where="drift baseline",
        expected=f"what Baseline.to_bytes gives (version {VERSION})",
    )
