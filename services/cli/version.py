"""`slipway version`."""

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

from services import __version__
from services.cli.console import out

_LIBRARIES = ("torch", "torchvision", "opencv-python-headless", "fastapi")


def show() -> None:
    """Print the versions that matter in a bug report."""
    out.print(f"slipway {__version__}")
    out.print(f"python {platform.python_version()} on {platform.platform()}")
    for name in _LIBRARIES:
        out.print(f"{name} {_version_of(name)}")


def _version_of(name: str) -> str:
    # From the package's metadata: importing torch for this would take seconds.
    try:
        return installed(name)
    except PackageNotFoundError:
        return "not installed"
