"""What trials of a precision have shown on this machine, kept in a small file."""

import hashlib
import json
import math
import os
import platform
from dataclasses import dataclass
from pathlib import Path

# Lines of /proc/cpuinfo that tell one processor, or one way to pass it on to a guest, from another.
_TELLING = ("model name", "flags", "microcode", "stepping", "Features", "CPU part")
_MOST = 100


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome: how many times as fast as fp32; None: it does not run."""

    gain: float | None


def key(*parts: str) -> str:
    """Return a digest of the processor, the kernel and all that the trial depends on besides."""
    machine = (platform.machine(), platform.release(), *_processor())
    return hashlib.sha256("\0".join((*machine, *parts)).encode()).hexdigest()


def recall(file: Path, key: str) -> Trial | None:
    """Return the outcome that was kept under a key, if one was."""
    found = _read(file).get(key, "unknown")
    if found is None:
        return Trial(None)
    if isinstance(found, int | float) and math.isfinite(found) and found > 0:
        return Trial(float(found))
    return None


def keep(file: Path, key: str, trial: Trial) -> None:
    """Keep an outcome; where the file cannot be written, the next process tries again."""
    known = list(_read(file).items())[1 - _MOST :]
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(dict(known) | {key: trial.gain}), encoding="utf-8")
        draft.replace(file)
    except OSError:
        return


def _read(file: Path) -> dict[str, object]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _processor() -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return [platform.processor()]
    first = text.split("\n\n", 1)[0]
    return [line for line in first.splitlines() if line.startswith(_TELLING)]
