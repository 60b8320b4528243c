"""Environments for clients that do not install beside Slipway, made once and kept."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_INSTALL_SECONDS = 900


def environment(name: str) -> Path:
    """Return the Python of the environment that `tests/clients/NAME.txt` describes.

    It lies below CLIENT_ENVIRONMENTS (`.venv/clients`) and is made anew when the pins change.
    Without a package index the test is skipped; with CI=true it fails.
    """
    pins = _HERE / f"{name}.txt"
    kept = Path(os.environ.get("CLIENT_ENVIRONMENTS") or _ROOT / ".venv" / "clients") / name
    python = kept / "bin" / "python"
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:16]
    stamp = kept / f"installed-{digest}"
    if stamp.exists() and python.exists():
        return python
    shutil.rmtree(kept, ignore_errors=True)
    steps = (
        [sys.executable, "-m", "venv", str(kept)],
        [str(python), "-m", "pip", "install", "-q", "--no-input", "--no-deps", "-r", str(pins)],
        [str(python), "-m", "pip", "check", "-q"],
    )
    for step in steps:
        done = subprocess.run(
            step, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
        if done.returncode != 0:
            tail = (done.stdout + done.stderr)[-1000:]
            notice = f"the environment of {pins.name} cannot be installed: {tail}"
            if os.environ.get("CI") == "true":
                pytest.fail(notice)
            pytest.skip(notice)
    stamp.touch()
    return python
