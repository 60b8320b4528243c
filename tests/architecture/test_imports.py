"""The rooms import one way, families know no siblings, frameworks stay where they belong."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, SERVICES, imports, python_files, room_of

# Which rooms may import a framework. Everything else is free to use it nowhere.
FENCES = {
    "fastapi": {"gateway"},
    "starlette": {"gateway"},
    "uvicorn": {"gateway"},
    "celery": {"jobs", "worker"},
    "kombu": {"jobs", "worker"},
    "torch": {"families", "training"},
    "torchvision": {"families", "training"},
    "mlflow": {"registry", "ledger", "training"},
    # The registry knows the errors that MLflow lets through.
    "sqlalchemy": {"ledger", "registry"},
    "alembic": {"ledger"},
    "psycopg": {"ledger"},
    "typer": {"cli"},
}


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": ".", "PYTHONUTF8": "1"},
    )


def test_the_contracts_are_kept() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("core/ids.py", "import services.engine", "Imports run one way"),
        ("gateway/__init__.py", "import services.cli.main", "Imports run one way"),
        ("families/tabular.py", "import services.families.cutler", "Families do not"),
        ("extra/__init__.py", "", "Imports run one way"),
        ("core/errors.py", "import services.core.loop", "No cycle"),
    ],
)
def test_a_breach_is_noticed(tmp_path: Path, file: str, line: str, contract: str) -> None:
    shutil.copytree(SERVICES, tmp_path / "services", ignore=shutil.ignore_patterns("*.pth"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    breach = tmp_path / "services" / file
    breach.parent.mkdir(exist_ok=True)
    with breach.open("a", encoding="utf-8") as handle:
        handle.write(f"\n{line}\n")
    (tmp_path / "services" / "core" / "loop.py").write_text("import services.core.errors\n")
    done = lint_imports(tmp_path)
    assert done.returncode != 0
    assert re.search(rf"{contract}.* BROKEN", done.stdout), done.stdout


@pytest.mark.parametrize("framework", FENCES)
def test_frameworks_stay_behind_their_fences(framework: str) -> None:
    found = [
        str(line)
        for file in python_files("services")
        for line in imports(file)
        if line.top == framework and line.room not in FENCES[framework]
    ]
    assert not found, f"{framework} belongs to {sorted(FENCES[framework])}"


def test_the_program_never_imports_its_tests() -> None:
    found = [
        str(line)
        for file in python_files("services")
        for line in imports(file)
        if line.top in {"tests", "benchmarks", "pytest"}
    ]
    assert not found


def test_every_room_is_a_package() -> None:
    """A folder without __init__ would escape the contracts."""
    bare = {
        file.parent.relative_to(ROOT)
        for file in python_files("services")
        if not (file.parent / "__init__.py").exists()
    }
    assert not bare
    assert {room_of(file) for file in python_files("services")} >= {"core", "families", "cli"}
