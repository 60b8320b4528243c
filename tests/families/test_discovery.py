"""Families are found by scanning their folder, cheaply."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.core.errors import ConfigurationError
from services.families import discover
from tests.support.patience import PATIENCE

GOOD = """
from services.families.base import Family
class Tiny(Family):
    name = {name!r}
    task = "nothing"
    def open(self, artifact, settings): raise NotImplementedError
FAMILY = Tiny()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An extra folder that is scanned as if it were part of services.families."""
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("services.families.extra_"):
            del sys.modules[name]


def test_the_families_that_come_with_slipway() -> None:
    found = discover()
    assert {"cutler", "tabular", "pyfunc"} <= set(found)
    assert all(name == family.name for name, family in found.items())


def test_finding_them_imports_no_heavy_library() -> None:
    script = (
        "import sys\n"
        "from services.families import discover\n"
        "discover()\n"
        "heavy = {'torch', 'torchvision', 'sklearn', 'pandas', 'mlflow', 'transformers', 'scipy',"
        " 'skops', 'optuna', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE)


def test_a_new_file_is_a_new_family(folder: Path) -> None:
    (folder / "extra_one.py").write_text(GOOD.format(name="one"))
    (folder / "_private.py").write_text("raise AssertionError")
    (folder / "base.py").write_text("raise AssertionError")
    found = discover([folder])
    assert list(found) == [*discover(), "one"]
    assert discover([folder])["one"] is found["one"]


def test_a_folder_is_one_too(folder: Path) -> None:
    package = folder / "extra_folder"
    package.mkdir()
    (package / "words.py").write_text("NAME = 'many files'")
    source = "from services.families.extra_folder.words import NAME\n" + GOOD.format(name="x")
    (package / "__init__.py").write_text(source.replace("'x'", "NAME"))
    assert "many files" in discover([folder])


def test_a_file_without_a_family_is_named(folder: Path) -> None:
    (folder / "extra_two.py").write_text("FAMILY = 3")
    with pytest.raises(ConfigurationError) as caught:
        discover([folder])
    assert caught.value.where == "extra_two"


def test_two_of_one_name(folder: Path) -> None:
    (folder / "extra_three.py").write_text(GOOD.format(name="same"))
    (folder / "extra_four.py").write_text(GOOD.format(name="same"))
    with pytest.raises(ConfigurationError, match="same"):
        discover([folder])


def test_a_file_may_not_take_the_place_of_another(folder: Path) -> None:
    (folder / "tabular.py").write_text(GOOD.format(name="mine"))
    with pytest.raises(ConfigurationError) as caught:
        discover([folder])
    assert caught.value.where == "tabular"


def test_a_file_that_fails_leaves_nothing_behind(folder: Path) -> None:
    (folder / "extra_five.py").write_text("1 / 0")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            discover([folder])
