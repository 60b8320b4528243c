"""Environments of the peers: made from exact pins, each in a folder of its own."""

import hashlib
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

_PINS = Path(__file__).parent
_STAMP = ".pins"
_OWN = ("fastapi", "mlflow", "numpy", "pydantic", "scikit-learn", "starlette", "uvicorn", "uvloop")


def names() -> list[str]:
    """Return the environments that there can be."""
    return sorted(file.stem for file in _PINS.glob("*.txt"))


def state(name: str, peers: Path) -> str | None:
    """Return why an environment cannot be used; None: it can."""
    folder = peers / name
    if not (folder / "bin" / "python").exists():
        return "not installed"
    stamp = folder / _STAMP
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != _digest(name):
        return "installed from other pins"
    return None


def prepare(name: str, peers: Path) -> Path:
    """Make an environment anew, unless it is there already; return its folder.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    folder = peers.absolute() / name
    if state(name, peers) is None:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run(
        [
            str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input",
            "--disable-pip-version-check", "--requirement", str(_PINS / f"{name}.txt"),
        ],
        check=True,
        stdout=sys.stderr,
    )  # fmt: skip
    (folder / _STAMP).write_text(_digest(name), encoding="utf-8")
    return folder


def versions(name: str | None) -> dict[str, str]:
    """Return what an environment has installed; None: this one, only what a server is made of."""
    if name is None:
        return {library: version(library) for library in _OWN}
    lines = (_PINS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pins = (line.partition("==") for line in lines if not line.startswith("#"))
    return {library: pinned for library, _, pinned in pins}


def size(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _digest(name: str) -> str:
    return hashlib.sha256((_PINS / f"{name}.txt").read_bytes()).hexdigest()
