"""Where a training ran: what a person needs to repeat it or to explain a difference."""

import getpass
import os
import platform
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

import services
from services.core.cores import available_cores

_LIBRARIES = ("numpy", "scikit-learn", "torch", "torchvision", "transformers", "mlflow", "pandas")
_CHECKOUT = Path(services.__file__).parents[1]


def tags() -> dict[str, str]:
    """Return the tags of a run that say who trained where, in MLflow's own words where it has any.

    The libraries' versions come from their packages' metadata: nothing is imported for them.
    """
    found = {
        "mlflow.user": user(),
        "mlflow.source.name": "slipway",
        "mlflow.source.type": "LOCAL",
        "environment.python": platform.python_version(),
        "environment.platform": platform.platform(),
        "environment.cores": str(available_cores()),
        "environment.memory_bytes": str(_memory()),
    }
    for name in _LIBRARIES:
        try:
            found[f"environment.{name}"] = installed(name)
        except PackageNotFoundError:
            continue
    commit = _commit()
    if commit is not None:
        found["mlflow.source.git.commit"] = commit
    return found


def user() -> str:
    """Return who runs this process, as far as the machine knows."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in many containers
        return str(os.getuid())


@lru_cache(maxsize=1)
def _commit() -> str | None:
    """Return the commit of this checkout; None when it is no checkout or git is not here."""
    if not (_CHECKOUT / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(_CHECKOUT), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def device() -> str:
    """Return the accelerator's name, once torch is loaded and has one, or the processor's."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return platform.processor() or platform.machine()
