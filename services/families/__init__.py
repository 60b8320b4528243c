"""What can be served: one file or folder per model family, found by scanning this folder."""

import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from services.core.errors import ConfigurationError
from services.families.base import Family

_CONTRACT = "base"


def discover(extra: Sequence[Path] = ()) -> dict[str, Family]:
    """Return the family of every public module in this folder, by name, in order of file name.

    Importing a family is cheap by contract; its heavy libraries come when a model is opened.

    Args:
        extra: more folders to scan, as if their files lay here.

    Raises:
        ConfigurationError: a module has no `FAMILY`, or two families share a name.
    """
    modules = [import_module(f"{__name__}.{name}") for name in _names(__path__)]
    modules += [_import(folder, name) for folder in extra for name in _names([str(folder)])]
    families: dict[str, Family] = {}
    for module in modules:
        family = _family(module)
        if family.name in families:
            raise ConfigurationError(
                f"Two families are called {family.name}.",
                where=_stem(module),
                expected="one name each",
            )
        families[family.name] = family
    return families


def _names(folders: Sequence[str]) -> list[str]:
    names = sorted(found.name for found in pkgutil.iter_modules(folders))
    return [name for name in names if name != _CONTRACT and not name.startswith("_")]


def _import(folder: Path, name: str) -> ModuleType:
    full = f"{__name__}.{name}"
    package = (folder / name).is_dir()
    file = folder / name / "__init__.py" if package else folder / f"{name}.py"
    known = sys.modules.get(full)
    if known is not None:
        if known.__file__ == str(file):
            return known
        raise ConfigurationError(
            "Two files of families have one name.", where=name, expected="a name of its own"
        )
    spec = spec_from_file_location(
        full, file, submodule_search_locations=[str(folder / name)] if package else None
    )
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[full] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[full]
        raise
    return module


def _family(module: ModuleType) -> Family:
    family = getattr(module, "FAMILY", None)
    if not isinstance(family, Family):
        raise ConfigurationError(
            "A module of services.families serves nothing.",
            where=_stem(module),
            expected="a module-level FAMILY that is a Family",
        )
    return family


def _stem(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]
