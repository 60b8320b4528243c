"""`slipway config`: the settings in force."""

import json
import os
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.table import Table

from services.cli.console import out
from services.core.settings import Settings, get_settings

_HIDDEN = "********"
_SECRET_WORDS = ("secret", "password", "token", "api_key", "dsn")


def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show every setting in force and where it comes from; secrets stay hidden."""
    settings = get_settings()
    values = {name: _shown(settings, name) for name in sorted(type(settings).model_fields)}
    if as_json:
        out.print(json.dumps({name.upper(): value for name, value in values.items()}, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    for name, value in values.items():
        table.add_row(name.upper(), "" if value is None else str(value), _origin(settings, name))
    out.print(table)


def _shown(settings: Settings, name: str) -> Any:
    value = getattr(settings, name)
    if value is not None and _is_secret(name, value):
        return _HIDDEN
    return settings.model_dump(mode="json", include={name})[name]


def _is_secret(name: str, value: Any) -> bool:
    """Tell by type, by the field's own word (`repr=False`), and by name, to miss none."""
    field = Settings.model_fields[name]
    named = any(word in name for word in _SECRET_WORDS)
    return isinstance(value, SecretStr) or not field.repr or named


def _origin(settings: Settings, name: str) -> str:
    if name not in settings.model_fields_set:
        return "default"
    given = {variable.upper() for variable in os.environ}
    return "environment" if name.upper() in given else ".env"
