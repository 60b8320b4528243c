"""Payloads and outputs as bytes, and the same again from them: what a queue hands on.

Plain JSON stays plain JSON. What it has no word for (NumPy arrays, bytes, NaN, large integers)
comes back as it was, where a JSON for people (`json_values`) would only say something like it.
NumPy is imported where an array is found: commands that see none begin without it.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import orjson

# How the bytes are to be read: as JSON, or by this module alone.
_FORM, _PLAIN, _EXACT, _MARK = "form", "json", "exact", "mark"
_FIRST_MARK = "~"
# orjson has words of its own for these; here they would not come back.
_OPTIONS = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def pack(value: Any) -> tuple[dict[str, str], bytes]:
    """Return how a value is written, and the bytes; the same value gives the same bytes.

    Raises:
        TypeError: it holds something that cannot be written.
    """
    try:
        data = orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        return _exact(value)
    if b"null" in data:
        # NaN is null, too, in this one.
        text = json.dumps(value)
        if "NaN" in text or "Infinity" in text:
            return _exact(value)
    return {_FORM: _PLAIN}, data


def unpack(about: Mapping[str, Any], data: bytes) -> Any:
    """Return what was packed: its arrays as arrays; tuples are lists.

    Raises:
        ValueError: these are not the bytes that `pack` returned.
    """
    if about.get(_FORM) == _PLAIN:
        return orjson.loads(data)
    mark = about[_MARK]

    def found(value: dict[str, Any]) -> Any:
        return _unmarked(value[mark]) if mark in value else value

    return json.loads(data, object_hook=found)


def is_json(about: Mapping[str, Any]) -> bool:
    """Whether it was this module that wrote the bytes: they are JSON in any case."""
    return _FORM in about


def is_plain(about: Mapping[str, Any]) -> bool:
    """Whether the bytes are JSON that means what it says."""
    return about.get(_FORM) == _PLAIN


def _exact(value: Any) -> tuple[dict[str, str], bytes]:
    mark = _FIRST_MARK
    while True:
        marked = _Marking(mark)
        text = json.dumps(value, default=marked)
        # Nobody else's key may look like ours.
        if text.count(f'"{mark}": ') == marked.count:
            return {_FORM: _EXACT, _MARK: mark}, text.encode()
        mark += _FIRST_MARK


class _Marking:
    def __init__(self, mark: str) -> None:
        self.count = 0
        self._mark = mark

    def __call__(self, value: Any) -> Any:
        import numpy as np

        from services.core.json_values import to_json

        found: list[Any]
        if isinstance(value, np.ndarray | np.generic):
            array = np.asarray(value)
            content = array.ravel().tolist() if array.dtype.hasobject else _text(array.tobytes())
            scalar = not isinstance(value, np.ndarray)
            found = [array.dtype.str, array.shape, content, scalar]
        elif isinstance(value, bytes | bytearray | memoryview):
            found = [_text(bytes(value))]
        else:
            return to_json(value)
        self.count += 1
        return {self._mark: found}


def _unmarked(found: list[Any]) -> Any:
    if len(found) == 1:
        return base64.b64decode(found[0])
    import numpy as np

    kind, shape, content, scalar = found
    dtype = np.dtype(kind)
    if dtype.hasobject:
        array = np.empty(len(content), dtype)
        # One by one: NumPy would make a matrix of lists of one length.
        for place, item in enumerate(content):
            array[place] = item
    else:
        array = np.frombuffer(base64.b64decode(content), dtype).copy()
    array = array.reshape(shape)
    return array[()] if scalar else array


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
