"""The faults of `benchmarks.alerts`: how each is caused and repaired, and what it must raise."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.alerts_load import Load
from benchmarks.alerts_stand import FAULTY, TABULAR, Stand

# A version whose files are no model, put into production as MLflow's own pages would do it.
_BAD_VERSION = """
import mlflow, pathlib, sys
client = mlflow.MlflowClient()
name = sys.argv[1]
run = client.create_run(mlflow.set_experiment("bad").experiment_id)
client.log_text(run.info.run_id, "no model", "model/MLmodel")
source = f"{run.info.artifact_uri}/model"
made = client.create_model_version(name, source=source, run_id=run.info.run_id)
pathlib.Path("before").write_text(client.get_model_version_by_alias(name, "production").version)
client.set_registered_model_alias(name, "production", made.version)
"""
_GOOD_VERSION = """
import mlflow, pathlib, sys
before = pathlib.Path("before").read_text()
mlflow.MlflowClient().set_registered_model_alias(sys.argv[1], "production", before)
"""
_LEFT = 0.02


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        words: for the table.
        group: faults of one group are caused together; none has a part in another's alert.
        alerts: labels of what must fire, the first of them the one that says what is wrong.
        muted: also fire, and nobody is told: another alert says more.
    """

    name: str
    words: str
    group: int
    alerts: tuple[Mapping[str, str], ...]
    cause: Callable[[Stand, Load], None]
    repair: Callable[[Stand, Load], None]
    muted: tuple[Mapping[str, str], ...] = ()


def _kill_worker(stand: Stand, _: Load) -> None:
    stand.workers["batch"].kill()


def _new_worker(stand: Stand, _: Load) -> None:
    stand.start_worker("batch")


def _stop_mlflow(stand: Stand, _: Load) -> None:
    stand.mlflow.stop()


def _start_mlflow(stand: Stand, _: Load) -> None:
    stand.mlflow.start()


def _break(_: Stand, load: Load) -> None:
    load.broken = True


def _mend(_: Stand, load: Load) -> None:
    load.broken = False


def _shift(_: Stand, load: Load) -> None:
    load.shifted = True


def _unshift(_: Stand, load: Load) -> None:
    load.shifted = False


def _stall(stand: Stand, load: Load) -> None:
    stand.signal_worker("interactive", signal.SIGSTOP)
    load.jobs = True


def _go_on(stand: Stand, load: Load) -> None:
    load.jobs = False
    stand.signal_worker("interactive", signal.SIGCONT)


def _promote_bad(stand: Stand, _: Load) -> None:
    stand.python(_BAD_VERSION, FAULTY)


def _promote_good(stand: Stand, _: Load) -> None:
    stand.python(_GOOD_VERSION, FAULTY)


def _fill_disk(stand: Stand, _: Load) -> None:
    found = os.statvfs(stand.data)
    left = int(found.f_blocks * _LEFT)
    with (stand.data / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, (found.f_bavail - left) * found.f_frsize)


def _empty_disk(stand: Stand, _: Load) -> None:
    (stand.data / "ballast").unlink()


def _kill_redis(stand: Stand, load: Load) -> None:
    stand.redis.kill()
    load.jobs = True


def _start_redis(stand: Stand, load: Load) -> None:
    load.jobs = False
    stand.redis.start()


def _kill_gateway(stand: Stand, _: Load) -> None:
    stand.kill_gateway()


def _start_gateway(stand: Stand, _: Load) -> None:
    # The port of one that was killed may take a moment.
    time.sleep(1)
    stand.start_gateway()


FAULTS = (
    Fault(
        "worker", "worker killed (SIGKILL) and not started again", 1,
        ({"alertname": "WorkerGone", "queue": "batch"},), _kill_worker, _new_worker,
    ),
    Fault(
        "queue", "queue stuck: its worker stands still (SIGSTOP), predictions wait", 1,
        ({"alertname": "JobsWithoutWorker", "queue": "interactive"},), _stall, _go_on,
        muted=(
            {"alertname": "JobsWaitingLong", "queue": "interactive"},
            {"alertname": "WorkerGone", "queue": "interactive"},
        ),
    ),
    Fault(
        "mlflow", "MLflow stopped", 1,
        ({"alertname": "DependencyDown", "service": "mlflow"},), _stop_mlflow, _start_mlflow,
    ),
    Fault(
        "errors", "every second request of a model raises (500)", 1,
        (
            {"alertname": "ModelFailing", "model": FAULTY},
            {"alertname": "AvailabilityBudgetBurn", "severity": "critical"},
        ), _break, _mend,
    ),
    Fault(
        "drift", "inputs shifted: 5 of 20 columns by 2 standard deviations", 2,
        ({"alertname": "DriftDetected", "model": TABULAR},), _shift, _unshift,
    ),
    Fault(
        "load", "a version that is no model put into production", 2,
        (
            {"alertname": "ModelLoadFailing", "model": FAULTY},
            {"alertname": "ModelSwapFailed", "model": FAULTY},
        ), _promote_bad, _promote_good,
    ),
    Fault(
        "disk", "disk of DATA_DIR filled to 98 %", 2,
        ({"alertname": "DiskAlmostFull", "severity": "critical"},), _fill_disk, _empty_disk,
        muted=({"alertname": "DiskAlmostFull", "severity": "warning"},),
    ),
    Fault(
        "redis", "Redis killed, predictions wait", 3,
        ({"alertname": "DependencyDown", "service": "redis"},), _kill_redis, _start_redis,
        muted=({"alertname": "JobsUnpublished", "queue": "interactive"},),
    ),
    Fault(
        "gateway", "the only gateway killed (SIGKILL)", 4,
        ({"alertname": "GatewayDown"},), _kill_gateway, _start_gateway,
    ),
)  # fmt: skip
