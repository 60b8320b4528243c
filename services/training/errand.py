"""The job that a training is done for: what it is told, what it is asked, what it leaves behind."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.training.publish import JOB_TAG

if TYPE_CHECKING:
    from services.training.tracking import TrainingRun

# On a run, before its model is registered: what the job's result is to be. A worker that takes
# the job up again after the registration answers with it.
RESULT_TAG = "slipway.result"


@dataclass(frozen=True, slots=True)
class Begun:
    """The run of a training or a sweep in MLflow: its experiment, id and address, if it has one."""

    experiment: str
    run_id: str
    link: str | None


def _nothing(begun: Begun) -> None:
    return


def _go_on() -> None:
    return


@dataclass(frozen=True, slots=True)
class Errand:
    """On whose behalf something is trained; by itself: on that of whoever sits there.

    Attributes:
        id: of the job.
        begun: told of the run as soon as there is one.
        check: asked right before anything is registered; raises where the job is not ours
            any more, or shall be given up.
    """

    id: str | None = None
    begun: Callable[[Begun], None] = _nothing
    check: Callable[[], None] = _go_on

    @property
    def tags(self) -> dict[str, str]:
        """What its runs are marked with."""
        return {} if self.id is None else {JOB_TAG: self.id}

    def keep(self, run: "TrainingRun", result: Mapping[str, Any]) -> None:
        """Write down what will be the result once the model is registered, and ask whether to.

        Raises:
            RegistryUnavailableError: MLflow does not answer.
        """
        if self.id is not None:
            run.tags({RESULT_TAG: json.dumps(result)})
        self.check()
