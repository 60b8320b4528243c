"""The requirement files pin everything, agree with each other, and cover what is imported."""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import distribution, packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.source import ROOT, imports, python_files

HEAVY, BASE, DEV = "requirements_heavy.txt", "requirements_base.txt", "requirements_dev.txt"
# What each file may count on: the files installed before it, and itself.
STAGES = {HEAVY: (HEAVY,), BASE: (HEAVY, BASE), DEV: (HEAVY, BASE, DEV)}
# Installed by nobody but who wants it, and what its one package needs besides.
FLOWER = "requirements_flower.txt"
FLOWER_NEEDS = {"celery", "prometheus-client", "humanize", "pytz", "tornado"}
# Imported only where it is installed, with a clear error where it is not: detectron2 is on no
# registry, and scikit-image (of requirements_dev.txt) only supplies pictures to evaluate on; peers
# of benchmarks/peers/apps live in environments of their own.
OPTIONAL = {"detectron2", "skimage", "bentoml", "litserve", "kserve"}
OURS = {"services", "tests", "benchmarks", "monitoring"}


@dataclass(frozen=True)
class Pin:
    file: str
    requirement: Requirement

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        return str(self.requirement.specifier).removeprefix("==")

    @property
    def applies(self) -> bool:
        marker = self.requirement.marker
        return marker is None or marker.evaluate()


def pins(file: str) -> Iterator[Pin]:
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        text = line.split("#")[0].strip()
        if text:
            yield Pin(file, Requirement(text))


def pinned(files: Iterable[str]) -> dict[str, str]:
    return {pin.name: pin.version for file in files for pin in pins(file)}


@pytest.mark.parametrize("file", [*STAGES, FLOWER])
def test_every_line_is_an_exact_pin(file: str) -> None:
    loose = [
        str(p.requirement) for p in pins(file) if not re.fullmatch(r"(\d+!)?[\w.]+", p.version)
    ]
    assert not loose


def test_the_files_agree() -> None:
    versions: dict[str, set[str]] = {}
    for file in (*STAGES, FLOWER):
        for pin in pins(file):
            versions.setdefault(pin.name, set()).add(pin.version)
    assert not {name: seen for name, seen in versions.items() if len(seen) > 1}


@pytest.mark.parametrize("file", STAGES)
def test_nothing_is_pulled_in_without_a_pin(file: str) -> None:
    """Each requirement of each pinned package is pinned by the time it is installed."""
    known = pinned(STAGES[file])
    missing = set()
    for pin in pins(file):
        if not pin.applies:
            continue
        extras = pin.requirement.extras or {""}
        for text in distribution(pin.name).requires or []:
            needed = Requirement(text)
            marker = needed.marker
            wanted = marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)
            if wanted and canonicalize_name(needed.name) not in known:
                missing.add(f"{pin.name} needs {needed.name}")
    assert not missing


def test_flower_finds_all_it_needs() -> None:
    found = pinned([HEAVY, BASE, FLOWER])
    assert found["flower"] == "2.0.1", "look whether FLOWER_NEEDS is still what it needs"
    assert set(found) >= FLOWER_NEEDS
    assert set(pinned([FLOWER])) == {"flower"} | FLOWER_NEEDS - set(pinned([HEAVY, BASE]))


def test_what_is_installed_is_what_is_pinned() -> None:
    found = {
        pin.name: distribution(pin.name).version
        for file in STAGES
        for pin in pins(file)
        if pin.applies
    }
    assert found == {name: v for name, v in pinned(STAGES).items() if name in found}


@pytest.mark.parametrize(
    ("folders", "files"),
    [(("services", "benchmarks"), (HEAVY, BASE)), (("tests", "monitoring"), (HEAVY, BASE, DEV))],
)
def test_what_is_imported_is_required(folders: tuple[str, ...], files: tuple[str, ...]) -> None:
    known, owners = pinned(files), packages_distributions()
    missing = set()
    for folder in folders:
        for file in python_files(folder):
            for line in imports(file):
                if line.top in sys.stdlib_module_names | OURS:
                    continue
                names = {canonicalize_name(owner) for owner in owners.get(line.top, [line.top])}
                if not names & set(known) and line.top not in OPTIONAL:
                    missing.add(str(line))
    assert not missing


def test_torch_and_torchvision_are_of_one_release() -> None:
    """torchvision's minor version is torch's plus 15; another pair fails when it is imported."""
    known = pinned([HEAVY])
    torch, vision = known["torch"].split("."), known["torchvision"].split(".")
    assert int(vision[1]) == int(torch[1]) + 15
