"""Reads the project's own source: which files there are, and what each one imports."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / "services"


@dataclass(frozen=True)
class Import:
    """One import: who imports, on which line, and the full name of what."""

    file: Path
    line: int
    name: str

    @property
    def room(self) -> str:
        """The room of the importer: `gateway`, `families`, …"""
        return room_of(self.file)

    @property
    def top(self) -> str:
        return self.name.split(".")[0]

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.name}"


def room_of(file: Path) -> str:
    parts = file.relative_to(SERVICES).parts
    return parts[0] if len(parts) > 1 else ""


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def imports(file: Path) -> Iterator[Import]:
    """Every import of a file, those inside functions included."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield Import(file, node.lineno, node.module)
