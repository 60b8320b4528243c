"""The protocol's datatypes, and NumPy's type of each."""

import numpy as np

BYTES = "BYTES"
# As they lie in a binary body; elements of BYTES are objects, text or bytes.
DTYPES: dict[str, np.dtype[np.generic]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    BYTES: np.dtype(object),
}
NAMES = ", ".join(DTYPES)
_OF = {(dtype.kind, dtype.itemsize): name for name, dtype in DTYPES.items() if name != BYTES}


def datatype_of(dtype: str) -> str:
    """Return the datatype for a NumPy type by name; text, bytes, dates and objects are BYTES."""
    found = np.dtype(dtype)
    return _OF.get((found.kind, found.itemsize), BYTES)
