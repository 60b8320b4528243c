"""The contract of a model family.

A family is one file or folder in `services/families/` that exposes a module-level `FAMILY`
instance. Everything above (engine, gateway, command line) knows models through this contract
only: a new family needs no edit elsewhere.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from services.core.settings import Settings


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a loaded model says about itself; served at `GET /model/info`."""

    name: str
    version: str
    family: str
    task: str
    device: str
    memory_bytes: int
    details: Mapping[str, Any] = field(default_factory=dict)


class Model(ABC):
    """A model in memory. `predict` is split in three so that each part can run where it fits.

    `preprocess` and `postprocess` may run in several threads at once; `infer` is only ever called
    by one thread at a time per device. Each raises errors of `services.core.errors` only for
    input that it refuses; any other exception counts as a failure of the model.
    """

    info: ModelInfo

    @abstractmethod
    def preprocess(self, payload: Any) -> Any:
        """Validate the payload and turn it into what `infer` takes."""

    @abstractmethod
    def infer(self, prepared: Any) -> Any:
        """Run the network on what `preprocess` returned."""

    @abstractmethod
    def postprocess(self, prepared: Any, raw: Any) -> Any:
        """Turn what `infer` returned into the family's output type."""

    @abstractmethod
    def warm(self) -> None:
        """Run once through every code path that the first request would otherwise pay for."""

    def close(self) -> None:
        """Give back memory and handles; the model is not used afterwards."""
        return


class Family(ABC):
    """A kind of model that Slipway can serve."""

    name: ClassVar[str]
    task: ClassVar[str]

    @abstractmethod
    def load(self, settings: "Settings") -> Model:
        """Load the model that the settings name.

        Raises:
            ConfigurationError: a file, device or engine that the settings name is not there.
            CheckpointError: the weights cannot be read safely or do not fit the network.
        """
