"""Files and functions stay small enough to be read in one go, and packages say what they hold."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, python_files, tree

LONGEST_FILE = 300
# About 40 lines is the aim; this is where it stops. The docstring does not count.
LONGEST_FUNCTION = 60

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(file: Path) -> Iterator[Function]:
    for node in ast.walk(tree(file)):
        if isinstance(node, Function):
            yield node


def length(function: Function) -> int:
    """Lines from `def` to the end, less the docstring's."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None and isinstance(first, ast.Expr):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


@pytest.mark.parametrize("folder", ["services", "benchmarks", "monitoring", "tests"])
def test_files_are_short(folder: str) -> None:
    counts = {
        str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines())
        for file in python_files(folder)
    }
    assert not {name: lines for name, lines in counts.items() if lines > LONGEST_FILE}


@pytest.mark.parametrize("folder", ["services", "benchmarks", "monitoring"])
def test_functions_are_short(folder: str) -> None:
    found = {
        f"{file.relative_to(ROOT)}:{function.lineno} {function.name}": length(function)
        for file in python_files(folder)
        for function in functions(file)
    }
    assert not {name: lines for name, lines in found.items() if lines > LONGEST_FUNCTION}


def test_every_package_says_what_it_holds() -> None:
    mute = [
        str(file.relative_to(ROOT))
        for file in python_files("services")
        if file.name == "__init__.py" and not ast.get_docstring(tree(file))
    ]
    assert not mute
