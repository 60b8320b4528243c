"""What can be served: one file or folder per model family, found by scanning this folder."""

import pkgutil
from importlib import import_module

from services.core.errors import ConfigurationError
from services.families.base import Family

_CONTRACT = "base"


def discover() -> dict[str, Family]:
    """Return the family of every public module in this folder, by name, in order of file name.

    Importing a family's package is cheap by contract; its heavy libraries come with `load`.

    Raises:
        ConfigurationError: a module has no `FAMILY`, or two families share a name.
    """
    families: dict[str, Family] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
        if module.name == _CONTRACT or module.name.startswith("_"):
            continue
        family = getattr(import_module(f"{__name__}.{module.name}"), "FAMILY", None)
        if not isinstance(family, Family):
            raise ConfigurationError(
                "A module of services.families serves nothing.",
                where=module.name,
                expected="a module-level FAMILY that is a Family",
            )
        if family.name in families:
            raise ConfigurationError(
                f"Two families are called {family.name}.",
                where=module.name,
                expected="one name each",
            )
        families[family.name] = family
    return families
