"""What a family needs installed: read off its own import statements, with the versions in use."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions, version
from inspect import getfile
from pathlib import Path

from services.families.base import Family

# For opening the folder at all.
_ALWAYS = ("mlflow", "numpy", "pandas")


def requirements(family: Family) -> list[str]:
    """Return exact pins, sorted by name, of everything that the family's files import."""
    file = Path(getfile(type(family)))
    folder = file.parent
    files = [file] if folder.name == "families" else sorted(folder.rglob("*.py"))
    modules = {*_ALWAYS, *(module for path in files for module in _imported(path))}
    known = _distributions()
    names = {known[module][0] for module in modules if module in known}
    return sorted(f"{name}=={version(name)}" for name in names)


@cache
def _distributions() -> dict[str, list[str]]:
    return {k: sorted(set(v)) for k, v in packages_distributions().items()}


def _imported(file: Path) -> Iterator[str]:
    """Return the packages that a file imports, wherever in it; neither ours nor Python's own."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            top = name.partition(".")[0]
            if top != "services" and top not in sys.stdlib_module_names:
                yield top
