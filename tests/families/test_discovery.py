"""Families are found by scanning their folder, cheaply."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services import families
from services.core.errors import ConfigurationError
from services.families import discover

GOOD = """
from services.families.base import Family, Model
class Tiny(Family):
    name = {name!r}
    task = "nothing"
    def load(self, settings): raise NotImplementedError
FAMILY = Tiny()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An extra folder that is scanned as if it were part of services.families."""
    monkeypatch.setattr(families, "__path__", [str(tmp_path)])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("services.families.extra_")]:
        del sys.modules[name]


def test_the_bundled_family_is_there() -> None:
    found = discover()
    assert found["cutler"].task == "instance-segmentation"


def test_finding_them_imports_no_heavy_library() -> None:
    script = (
        "import sys, services.gateway.app\n"
        "from services.families import discover\n"
        "discover()\n"
        "assert not {'torch', 'torchvision'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_new_file_is_a_new_family(folder: Path) -> None:
    (folder / "extra_one.py").write_text(GOOD.format(name="one"))
    (folder / "_private.py").write_text("raise AssertionError")
    (folder / "base.py").write_text("raise AssertionError")
    assert list(discover()) == ["one"]


def test_a_file_without_a_family_is_named(folder: Path) -> None:
    (folder / "extra_two.py").write_text("FAMILY = 3")
    with pytest.raises(ConfigurationError) as caught:
        discover()
    assert caught.value.where == "extra_two"


def test_two_of_one_name(folder: Path) -> None:
    (folder / "extra_three.py").write_text(GOOD.format(name="same"))
    (folder / "extra_four.py").write_text(GOOD.format(name="same"))
    with pytest.raises(ConfigurationError, match="same"):
        discover()
