"""`slipway models show`: the versions of a model, and everything about one of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from services.cli import models_registry as registered
from services.cli.console import out
from services.cli.models_registry import Name, desk, label
from services.registry.catalogue import RegisteredModel, VersionRef

if TYPE_CHECKING:
    from services.core.signature import Field, Signature
    from services.registry.details import Details

# Metrics of a version that its row has room for.
_METRICS = 3


def show(
    name: Name,
    version: Annotated[
        str | None,
        typer.Option(help="Only this one, with parameters, signature and tags."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show the versions of a registered model: stages, metrics, sizes and aliases."""
    from services.rollout import choose
    from services.rollout.deploy import look

    here = desk()
    model = look(here.registry, name)
    refs = here.registry.versions(name)
    if version is not None:
        refs = [choose.version(refs, version)]
    known = [(ref, registered.details(here, ref)) for ref in refs]
    if json:
        versions = [_json(model, ref, details) for ref, details in known]
        registered.print_json(
            {"name": name, "description": model.description, "versions": versions}
        )
    elif version is not None:
        _print_one(model, *known[0])
    else:
        _print_all(model, known)


def aliases(model: RegisteredModel, ref: VersionRef) -> list[str]:
    """Return the aliases that point to a version."""
    return sorted(alias for alias, number in model.aliases.items() if number == ref.version)


def size(count: int | None) -> str:
    """Return a number of bytes for people."""
    return "–" if count is None else f"{count / 1e6:.2f} MB"


def fields(signature: "Signature | None") -> tuple[str, str]:
    """Return inputs and outputs in one line each."""
    if signature is None:
        return "–", "–"
    return _line(signature.inputs), _line(signature.outputs)


def _line(listed: "tuple[Field, ...]", most: int = 6) -> str:
    words = [_field(field) for field in listed[:most]]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(words) + more) or "–"


def _field(field: "Field") -> str:
    kind = f"{field.dtype}{list(field.shape or ())}" if field.is_tensor else field.type
    name = f"{field.name}: " if field.name is not None else ""
    return f"{name}{kind}{'' if field.required else '?'}"


def _print_all(model: RegisteredModel, known: "list[tuple[VersionRef, Details]]") -> None:
    out.print(f"{model.name}{': ' if model.description else ''}{model.description}")
    table = Table(box=None, pad_edge=False)
    for heading in ("version", "stage", "family", "metrics", "size", "age", "aliases"):
        table.add_column(heading, overflow="fold")
    for ref, details in known:
        table.add_row(
            label(ref), str(ref.stage), details.family, _metrics(details.metrics),
            size(details.size_bytes), registered.age(ref.created),
            ", ".join(aliases(model, ref)),
        )  # fmt: skip
    out.print(table)


def _metrics(metrics: Mapping[str, float]) -> str:
    best_first = sorted(metrics, key=lambda name: (name != "accuracy", name))
    return ", ".join(f"{name} {metrics[name]:.4g}" for name in best_first[:_METRICS]) or "–"


def _print_one(model: RegisteredModel, ref: VersionRef, details: "Details") -> None:
    inputs, outputs = fields(details.signature)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    rows = {
        "model": model.name,
        "version": label(ref),
        "stage": str(ref.stage),
        "aliases": ", ".join(aliases(model, ref)) or "–",
        "family": details.family,
        "registered": f"{registered.age(ref.created)} ago",
        "run": ref.run_id or "–",
        "size": size(details.size_bytes),
        "inputs": inputs,
        "outputs": outputs,
        **{f"metric {name}": f"{value:.6g}" for name, value in sorted(details.metrics.items())},
        **{f"param {name}": value for name, value in sorted(details.params.items())},
        **{f"tag {name}": value for name, value in sorted(ref.tags.items())},
    }
    for heading, value in rows.items():
        table.add_row(heading, value)
    out.print(table)


def _json(model: RegisteredModel, ref: VersionRef, details: "Details") -> dict[str, Any]:
    inputs, outputs = fields(details.signature)
    return {
        **(registered.as_json(ref) or {}),
        "aliases": aliases(model, ref),
        "family": details.family,
        "metrics": dict(details.metrics),
        "params": dict(details.params),
        "size_bytes": details.size_bytes,
        "inputs": inputs,
        "outputs": outputs,
    }
