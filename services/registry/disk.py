"""Writing that survives a crash: complete and flushed, or not there at all."""

import json
import os
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Write a file at once: a reader, or a restart, sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with draft.open("w", encoding="utf-8") as handle:
            json.dump(value, handle)
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(path)
        _flush_entry(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def flush(root: Path) -> None:
    """Bring every file below a folder to the disk, and the folders' entries."""
    for path in [*root.rglob("*"), root]:
        _flush_entry(path)


def _flush_entry(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
