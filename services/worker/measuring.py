"""The metrics of a worker's processes: beside a gateway in its folder, elsewhere at a port."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from services.core.metering import vitals
from services.core.metering.folders import own_folder
from services.core.metering.reporting import report
from services.core.settings import Settings


@contextmanager
def measured(settings: Settings, role: str) -> Iterator[Settings]:
    """Keep this process's metrics, and expose those of all its children, for the block.

    Yields the settings that the children are to have.

    Raises:
        ConfigurationError: WORKER_METRICS_PORT cannot be opened.
    """
    with ExitStack() as stack:
        folder, port = settings.prometheus_multiproc_dir, settings.worker_metrics_port
        if folder is None and port is not None:
            folder = stack.enter_context(own_folder(settings))
            settings = settings.model_copy(update={"prometheus_multiproc_dir": folder})
        if port is not None:
            from services.worker.metrics_port import MetricsPort

            stack.callback(MetricsPort(settings, port).close)
        program = role if role == vitals.BEAT else vitals.worker(role)
        reporter = report(program, folder)
        if reporter is not None:
            stack.callback(reporter.close)
        yield settings
