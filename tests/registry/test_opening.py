"""Nothing of a model runs before it is known to be safe, or its author trusted.

Each hostile model tries to write a file; the file's absence is what counts.
"""

import pickle
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import yaml
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from services.core.errors import CheckpointError, UntrustedModelError
from services.families.base import Artifact
from services.registry.opening import artifact

FAMILIES = ("tabular", "pyfunc", "digits")
X = np.random.default_rng(0).random((40, 3))
Y = np.arange(40) % 2

Save = Callable[..., Path]


class Bomb(BaseEstimator):  # type: ignore[misc]
    """Writes a file when it is unpickled."""

    def __init__(self, canary: str = "") -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (_explode, (self.canary,))

    def predict(self, rows: Any) -> Any:
        return rows


def _explode(canary: str) -> LogisticRegression:
    Path(canary).write_text("ran")
    return LogisticRegression().fit(X, Y)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture(autouse=True)
def _tidy_imports() -> Iterator[None]:
    """MLflow puts a model's code on the path and leaves it there."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("evil", "code_of")):
            del sys.modules[name]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Return a function that saves by MLflow and returns the folder."""

    def run(module: Any, *args: Any, **options: Any) -> Path:
        folder = tmp_path / "model"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module.save_model(
                *args, path=str(folder), pip_requirements=["evil-package==6.6.6"], **options
            )
        return folder

    return run


def opened(folder: Path, *trusted: str) -> Artifact:
    return artifact(folder, "m", "3", families=FAMILIES, trusted=trusted)


def refused(folder: Path) -> UntrustedModelError:
    with pytest.raises(UntrustedModelError) as caught:
        opened(folder, "other", "m/2", "M")
    assert caught.value.where == "TRUSTED_MODELS"
    return caught.value


@pytest.mark.parametrize("form", ["pickle", "cloudpickle"])
def test_a_pickle_runs_only_if_trusted(save: Save, canary: Path, form: str) -> None:
    folder = save(mlflow.sklearn, Bomb(str(canary)), serialization_format=form)
    canary.unlink(missing_ok=True)
    refused(folder)
    assert not canary.exists()
    for trusted in ("m", "m/3"):
        found = opened(folder, trusted)
        assert found.family == "pyfunc" and found.native is not None
        assert not canary.exists(), "only the family opens it"
        assert found.native().predict(X[:2]).tolist() is not None
        assert canary.read_text() == "ran"
        canary.unlink()


@pytest.mark.parametrize(
    ("said", "expected"),
    [("0123456789abcdef" * 2, "0123456789abcdef" * 2), ("../../x", None), (7, None), (None, None)],
)
def test_the_run_that_made_it(save: Save, said: Any, expected: str | None) -> None:
    """It goes into metrics and links: only what can be a run's id does."""
    folder = save(mlflow.sklearn, LogisticRegression().fit(X, Y), serialization_format="skops")
    file = folder / "MLmodel"
    described = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**described, "run_id": said}))
    assert opened(folder, "m").run_id == expected


def test_a_pickle_that_calls_itself_skops(save: Save, canary: Path) -> None:
    folder = save(mlflow.sklearn, LogisticRegression().fit(X, Y))
    (folder / "model.skops").write_bytes(pickle.dumps(Bomb(str(canary))))
    with pytest.raises(CheckpointError):
        opened(folder)
    assert not canary.exists()


def test_a_pickle_beside_a_sklearn_flavour_that_looks_safe(save: Save, canary: Path) -> None:
    """The safe file is opened, whatever python_function says."""
    folder = save(mlflow.sklearn, LogisticRegression().fit(X, Y))
    (folder / "evil.pkl").write_bytes(pickle.dumps(Bomb(str(canary))))
    rewrite(folder, lambda text: text["flavors"]["python_function"].update(model_path="evil.pkl"))
    found = opened(folder)
    assert found.family == "tabular" and found.native is not None
    assert found.native().predict(X[:2]).shape == (2,)
    assert not canary.exists()


def test_a_loader_module_from_the_models_own_code(tmp_path: Path, canary: Path) -> None:
    folder = tmp_path / "model"
    (folder / "code").mkdir(parents=True)
    source = (
        f"open({str(canary)!r}, 'w').write('ran')\n"
        "def _load_pyfunc(path):\n"
        "    class Model:\n"
        "        predict = print\n"
        "    return Model()\n"
    )
    (folder / "code" / "evil_loader.py").write_text(source)
    write(
        folder,
        {"python_function": {"loader_module": "evil_loader", "code": "code", "env": {}}},
    )
    assert "Python files" in refused(folder).message
    assert not canary.exists()
    native = opened(folder, "m").native
    assert native is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        native()
    assert canary.exists()


def test_a_loader_module_that_is_installed_anyway(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for loader in ("services.registry.flavor", "mlflow.sklearn", "os", "", None):
        write(folder, {"python_function": {"loader_module": loader, "env": {}}})
        refused(folder)


def test_a_python_object_and_a_python_file(save: Save, tmp_path: Path, canary: Path) -> None:
    source = tmp_path / "code_of_model.py"
    source.write_text(
        "import mlflow\n"
        f"open({str(canary)!r}, 'a').write('ran')\n"
        "class Model(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        return model_input\n"
        "mlflow.models.set_model(Model())\n"
    )
    folder = save(mlflow.pyfunc, python_model=str(source))
    canary.unlink()
    assert "Python file" in refused(folder).message
    assert not canary.exists()
    shutil.rmtree(folder)

    folder = save(mlflow.pyfunc, python_model=plain())
    (folder / "python_model.pkl").write_bytes(pickle.dumps(Bomb(str(canary))))
    refused(folder)
    assert not canary.exists()


def test_a_skops_file_with_a_type_of_its_author(save: Save, canary: Path) -> None:
    model = make_pipeline(FunctionTransformer(_explode), LogisticRegression())
    model.steps[1][1].fit(X, Y)
    trusted = [f"{__name__}._explode"]
    folder = save(mlflow.sklearn, model, skops_trusted_types=trusted)
    assert trusted[0] in refused(folder).message
    assert not canary.exists()
    # MLflow itself would have trusted the model's own list.
    assert yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["sklearn"][
        "skops_trusted_types"
    ] == trusted  # fmt: skip
    found = opened(folder, "m")
    assert found.family == "pyfunc"


def test_a_pytorch_archive_needs_trust(save: Save) -> None:
    """torch.export.load unpickles parts, and evaluates expressions (decision 0009)."""
    import torch

    folder = save(mlflow.pytorch, torch.nn.Linear(3, 1), input_example=X[:2].astype("float32"))
    assert (folder / "data" / "model.pt2").exists()
    assert "PyTorch" in refused(folder).message
    assert opened(folder, "m").family == "pyfunc"


def test_the_models_requirements_do_nothing(save: Save) -> None:
    folder = save(mlflow.sklearn, LogisticRegression().fit(X, Y))
    assert "evil-package" in (folder / "requirements.txt").read_text()
    (folder / "requirements.txt").write_text("--index-url http://127.0.0.1:9/\nevil-package\n")
    found = opened(folder)
    assert found.native is not None and found.native().predict(X).shape == (40,)


@pytest.mark.parametrize("data", ["../secret", "/etc", "data/../../secret", "", None, 5, "gone"])
def test_a_slipway_flavour_stays_inside(tmp_path: Path, data: Any) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").mkdir()
    write(folder, {"slipway": {"family": "digits", "config": {}, "data": data}})
    with pytest.raises(CheckpointError):
        opened(folder)


def test_a_slipway_flavour_through_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").mkdir()
    (folder / "data").symlink_to(tmp_path / "secret")
    write(folder, {"slipway": {"family": "digits", "config": {}, "data": "data"}})
    with pytest.raises(CheckpointError):
        opened(folder)


def test_a_slipway_flavour(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    flavor = {"family": "digits", "config": {"hidden": 3}, "data": "data"}
    write(folder, {"slipway": flavor, "python_function": {"loader_module": "os"}})
    found = opened(folder)
    assert (found.family, found.folder, found.config) == (
        "digits", folder / "data", {"hidden": 3},
    )  # fmt: skip
    assert found.native is None
    wrongs: list[dict[str, Any]] = [{"family": "unheard-of"}, {"family": 3}, {"config": []}]
    for wrong in wrongs:
        write(folder, {"slipway": {**flavor, **wrong}})
        with pytest.raises(CheckpointError):
            opened(folder)


def plain() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        class Plain(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
            def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
                return model_input

    return Plain()


def write(folder: Path, flavors: dict[str, Any]) -> None:
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))


def rewrite(folder: Path, change: Callable[[Any], None]) -> None:
    text = yaml.safe_load((folder / "MLmodel").read_text())
    change(text)
    (folder / "MLmodel").write_text(yaml.safe_dump(text))
