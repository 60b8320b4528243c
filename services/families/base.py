"""The contract of a model family.

A family is one file or folder in here that exposes a module-level `FAMILY` instance. Everything
above knows models through this contract only: a new family needs no edit elsewhere.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from services.core.signature import Signature
from services.families._judging import Judging
from services.families._packing import Packing

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


@dataclass(frozen=True, slots=True)
class Artifact:
    """A version of a model on this machine's disk, on its way into memory.

    Attributes:
        family: name of the family that opens it.
        name: the registered name, such as `MNISTClassifier`.
        version: the registry's number, or a digest for weights that come from no registry.
        folder: where the family's own files lie.
        config: what the family wrote beside them when it saved the model; JSON values only.
        signature: inputs and outputs, if they were recorded.
        example: a payload that the model answered when it was registered; replayed at warm-up.
        pinned: the operator named these files; a registry does not replace them.
        native: opens a model of a foreign MLflow flavour, found safe or trusted; None: of no such.
        run_id: the run in MLflow that made it, as its files say; None: they do not.
    """

    family: str
    name: str
    version: str
    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    signature: Signature | None = None
    example: Any = None
    pinned: bool = False
    native: Callable[[], Any] | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """The payload of families that take a file: the encoded bytes, exactly as uploaded."""

    data: bytes


class Model(ABC):
    """A version of a model in memory. A prediction is three steps, so that each runs where it fits.

    `preprocess` and `postprocess` may run in several threads at once; `infer` is only ever called
    by one thread at a time. Each raises errors of `services.core.errors` only for input that it
    refuses; any other exception counts as a failure of the model.

    A payload is a `Picture` for families that take files, and else the decoded JSON body: a
    mapping that holds either the family's own field (`features`, `reviews`, `image`) or `inputs`
    (rows as records, as lists, or as columns), and at most `params` beside it. The output is a
    mapping of JSON values, or for pictures a type of the family's own.

    Attributes:
        info: what this is.
        signature: what it takes and gives, as far as that is known.
        max_batch: rows that one call of `infer` may take together; 1: one payload at a time.
        arrays: `inputs` of a payload may be a NumPy array, or a mapping of them, too.
    """

    info: ModelInfo
    signature: Signature | None = None
    max_batch: int = 1
    arrays: bool = False

    @abstractmethod
    def preprocess(self, payload: Any) -> Any:
        """Validate the payload and turn it into what `infer` takes.

        Raises:
            InvalidInputError: what is wrong, where (`inputs[3].age`), and what was expected.
        """

    @abstractmethod
    def infer(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Run the model on what `preprocess` returned, several at once; one result for each."""

    @abstractmethod
    def postprocess(self, prepared: Any, raw: Any) -> Any:
        """Turn one result of `infer` into the output."""

    def rows(self, prepared: Any) -> int:
        """Return how many rows of a batch this payload takes."""
        return 1

    def cache_key(self, prepared: Any) -> bytes | None:
        """Return bytes that are equal only for payloads with equal answers; None: do not cache."""
        return None

    def confidences(self, output: Any) -> list[float]:
        """Return the scores, 0 to 1, of what the output holds; for the metrics."""
        return []

    def warm(self) -> None:
        """Run once through all that the first request would pay for; the example is next."""
        return

    def close(self) -> None:
        """Give back memory and handles; the model is not used afterwards."""
        return


@dataclass(frozen=True, slots=True)
class Parameter:
    """A setting of training: an option of the command line and a dimension of sweeps.

    Attributes:
        name: as in Python; the command line writes it with dashes.
        default: its type (int, float, bool or str) is the parameter's type.
        help: one line.
        low, high: inclusive limits of numbers; without both a sweep leaves the default.
        log: a sweep draws it on a logarithmic scale.
        choices: the values a str (or a number) may have.
        tune: whether a sweep varies it.
    """

    name: str
    default: int | float | bool | str
    help: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    tune: bool = True


@dataclass(frozen=True, slots=True)
class Split:
    """Data to learn from, and data held out to judge by; their types are the family's own.

    The split depends on the source alone, never on a seed: every version of a model is judged on
    the same held-out data.

    Attributes:
        digest: SHA-256 (hex) of every value in it.
        source: what it was made of, for people: a file's name, `generated`, a library's data set.
        rows: number of examples to learn from and held out.
    """

    train: Any
    held_out: Any
    digest: str
    source: str
    rows: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained model that is not saved yet.

    Attributes:
        save: writes the family's files into an empty folder, in a format that is safe to load.
        config: JSON values that `Family.open` needs beside them.
        signature: inputs and outputs.
        example: a payload (JSON values) that the model answers.
    """

    save: Callable[[Path], None]
    signature: Signature
    example: Any
    config: Mapping[str, Any] = field(default_factory=dict)


# Called at the end of each epoch or round: how many are done, of how many, and their metrics.
Report = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True, slots=True)
class Gates:
    """What a version must hold to be promoted.

    Attributes:
        metric: of `evaluate`; higher is better.
        tolerance: how far it may fall below that of the version that serves.
        latency: seconds that the median answer to the example may take.
    """

    metric: str = "accuracy"
    tolerance: float = 0.0
    latency: float = 0.25


class Family(Packing, Judging, ABC):
    """A kind of model that Slipway can serve.

    Attributes:
        name: of the family; `slipway train NAME`.
        task: what it does, in a few words with dashes.
        model_name: under which a version is registered, and asked for by `POST /predict`.
        field: the field by which `POST /predict` knows a JSON body of this family.
        file: whether `POST /predict` with a form's file is for this family.
        takes: `json` or `picture`: what `/models/{name}/predict` decodes for it.
    """

    name: ClassVar[str]
    task: ClassVar[str]
    model_name: ClassVar[str] = ""
    field: ClassVar[str | None] = None
    file: ClassVar[bool] = False
    takes: ClassVar[str] = "json"

    @abstractmethod
    def open(self, artifact: Artifact, settings: "Settings") -> Model:
        """Bring a version into memory.

        Raises:
            ConfigurationError: a file, device or engine that is needed is not there.
            CheckpointError: the files cannot be read safely or do not fit.
        """

    def builtin(self, settings: "Settings") -> Artifact | None:
        """Return the version that comes with Slipway or that the settings name, if there is one."""
        return None

    def model_for(self, body: Mapping[str, Any], settings: "Settings") -> str:
        """Return the name of the registered model that a body of `POST /predict` is for.

        Raises:
            InvalidInputError: the body asks for a variant that the family does not have.
        """
        return self.model_name


class TrainableFamily(Family):
    """A family that Slipway can also train.

    Attributes:
        parameters: what training can be told.
        experiment: the MLflow experiment of its runs.
        gates: what a version must hold to be promoted.
        cost: CPU seconds, roughly, that training with the defaults takes.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = ()
    experiment: ClassVar[str] = ""
    gates: ClassVar[Gates] = Gates()
    cost: ClassVar[float] = 1.0

    @abstractmethod
    def read(self, source: Path | None, params: Mapping[str, Any]) -> Split:
        """Read or make the data; None: the data that comes with Slipway.

        Raises:
            InvalidInputError: the file is not what the family can learn from (says which line).
        """

    @abstractmethod
    def fit(self, split: Split, params: Mapping[str, Any], seed: int, report: Report) -> Fitted:
        """Train. The same data, parameters and seed give the same model on the same machine."""

    @abstractmethod
    def evaluate(self, model: Model, held_out: Any) -> dict[str, float]:
        """Judge a model as it is served, through its three steps, on held-out data.

        Returns at least the metric that `gates` names, each value 0 to 1.
        """

    def registered_name(self, params: Mapping[str, Any]) -> str:
        """Return the name to register a model of these parameters under."""
        return self.model_name

    def defaults(self) -> dict[str, Any]:
        """Return every parameter's default."""
        return {parameter.name: parameter.default for parameter in self.parameters}


def predict(model: Model, payload: Any) -> Any:
    """Run the three steps of one prediction here and now: for training, gates and tests."""
    prepared = model.preprocess(payload)
    (raw,) = model.infer([prepared])
    return model.postprocess(prepared, raw)
