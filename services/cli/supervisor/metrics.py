"""Where the programs of `slipway run` keep the metrics that the gateway shows together."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from services.core.metering.folders import own_folder
from services.core.metering.sharing import VARIABLE
from services.core.settings import Settings


def shared_folder(settings: Settings) -> AbstractContextManager[Path]:
    """Return a folder for a run: an empty one, or the operator's, in which everything stays."""
    own = settings.prometheus_multiproc_dir
    return own_folder(settings) if own is None else nullcontext(own)


def told(folder: Path) -> dict[str, str]:
    """Return what our programs are told: the gateway shows the metrics of the workers, too."""
    return {VARIABLE: str(folder), "WORKER_METRICS_PORT": ""}
