"""Files of MNIST: read in every form they come in, refused when harmed."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.core.errors import InvalidInputError
from services.families.base import Artifact
from services.families.digits import FAMILY
from tests.conftest import settings_for_tests
from tests.support.strokes import digits


def _idx(array: NDArray[np.uint8]) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


def _write_folder(
    folder: Path, *, dash: str = "-", zipped: bool = False, test: bool = True
) -> None:
    parts = {"train": digits(40, 0), "t10k": digits(20, 1)}
    for part, (images, labels) in parts.items():
        if part == "t10k" and not test:
            continue
        for kind, array in (("images", images), ("labels", labels)):
            name = f"{part}-{kind}{dash}idx{array.ndim}-ubyte"
            if zipped:
                (folder / (name + ".gz")).write_bytes(gzip.compress(_idx(array)))
            else:
                (folder / name).write_bytes(_idx(array))


def _write_npz(folder: Path) -> Path:
    (x_train, y_train), (x_test, y_test) = digits(40, 0), digits(20, 1)
    path = folder / "mnist.npz"
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


def test_every_form_of_the_files_holds_the_same(tmp_path: Path) -> None:
    digests = set()
    for number, options in enumerate(({}, {"zipped": True}, {"dash": "."})):
        folder = tmp_path / str(number)
        folder.mkdir()
        _write_folder(folder, **options)  # type: ignore[arg-type]
        split = FAMILY.read(folder, {})
        assert split.rows == (40, 20)
        digests.add(split.digest)
    digests.add(FAMILY.read(_write_npz(tmp_path), {}).digest)
    assert len(digests) == 1


def test_without_a_test_set_a_fifth_is_held_out(tmp_path: Path) -> None:
    _write_folder(tmp_path, test=False)
    assert FAMILY.read(tmp_path, {}).rows == (32, 8)


def test_files_of_mnist_train_a_model(tmp_path: Path) -> None:
    split = FAMILY.read(_write_npz(tmp_path), {})
    fitted = FAMILY.fit(split, {"epochs": 1, "hidden_size": 32}, 0, lambda *_: None)
    folder = tmp_path / "model"
    folder.mkdir()
    fitted.save(folder)
    artifact = Artifact("digits", "MNISTClassifier", "1", folder, fitted.config)
    model = FAMILY.open(artifact, settings_for_tests())
    assert 0 <= FAMILY.evaluate(model, split.held_out)["accuracy"] <= 1


def _cut(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])


def _lengthen(folder: Path) -> None:
    with (folder / "train-labels-idx1-ubyte").open("ab") as file:
        file.write(b"1")


def _huge(folder: Path) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\3" + b"\xff" * 12)


def _floats(folder: Path) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(b"\0\0\x0d\3" + bytes(12))


def _eleven(folder: Path) -> None:
    path = folder / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0b")


def _small(folder: Path) -> None:
    images = np.zeros((40, 8, 8), np.uint8)
    (folder / "train-images-idx3-ubyte").write_bytes(_idx(images))


def _none(folder: Path) -> None:
    (folder / "train-images-idx3-ubyte").unlink()


@pytest.mark.parametrize("harm", [_cut, _lengthen, _huge, _floats, _eleven, _small, _none])
def test_harmed_files_are_refused(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    _write_folder(tmp_path)
    harm(tmp_path)
    with pytest.raises(InvalidInputError) as caught:
        FAMILY.read(tmp_path, {})
    assert caught.value.where == "data"


def test_harmed_archives_are_refused(tmp_path: Path) -> None:
    objects = tmp_path / "objects.npz"
    np.savez(objects, x_train=np.array([{}], object), y_train=np.zeros(1, np.uint8))
    broken = tmp_path / "broken.npz"
    broken.write_bytes(_write_npz(tmp_path).read_bytes()[:900])
    for path in (objects, broken, tmp_path / "missing.npz", tmp_path / "missing"):
        with pytest.raises(InvalidInputError):
            FAMILY.read(path, {})
