"""Commands made from what families say of themselves: one for each family that can be trained."""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup
from typer.main import get_command

from services import families
from services.core.errors import ConfigurationError
from services.families.base import Parameter, TrainableFamily

# What a command does: the family, its parameters as given, and the options of the command itself.
Work = Callable[..., None]


def trainable() -> dict[str, TrainableFamily]:
    """Return the families that can be trained, by name."""
    return {
        name: family
        for name, family in families.discover().items()
        if isinstance(family, TrainableFamily)
    }


def group(work: Work, *, verb: str, defaults: bool) -> type[TyperGroup]:
    """Return a class of groups with a command for each family, made when it is asked for.

    Args:
        work: called as `work(family, params, **options)`; its keyword-only arguments become
            options after those of the family.
        verb: what the command does, for the help: `Train`.
        defaults: whether `params` holds the defaults of what was not given.
    """

    class FamilyGroup(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return [*trainable(), *super().list_commands(ctx)]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            own = super().get_command(ctx, cmd_name)
            if own is not None:
                return own
            family = trainable().get(cmd_name)
            return None if family is None else _command(family, work, verb, defaults=defaults)

    return FamilyGroup


def _command(family: TrainableFamily, work: Work, verb: str, *, defaults: bool) -> Any:
    app = typer.Typer(
        add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
    )
    app.command(family.name, help=_help(family, verb))(_function(family, work, defaults=defaults))
    return get_command(app)


def _help(family: TrainableFamily, verb: str) -> str:
    return f"{verb} {family.name} ({family.task}), registered as {family.model_name}."


def _function(family: TrainableFamily, work: Work, *, defaults: bool) -> Callable[..., None]:
    """Return a function with a signature for typer: the family's options, then the command's."""
    options = list(inspect.signature(work, eval_str=True).parameters.values())[2:]
    clash = {option.name for option in options} & {each.name for each in family.parameters}
    if clash:
        raise ConfigurationError(
            "A family's parameter has the name of an option of the command.",
            where=f"{family.name}.{min(clash)}",
            expected="another name",
        )

    def run(**given: Any) -> None:
        params = {each.name: given.pop(each.name) for each in family.parameters}
        chosen = {name: value for name, value in params.items() if value is not None}
        work(family, chosen, **given)

    own = [_option(parameter, default=defaults) for parameter in family.parameters]
    run.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    return run


def _option(parameter: Parameter, *, default: bool) -> inspect.Parameter:
    kind: Any = type(parameter.default)
    limits: dict[str, Any] = {}
    if kind in {int, float}:
        limits = {
            name: kind(limit)
            for name, limit in (("min", parameter.low), ("max", parameter.high))
            if limit is not None
        }
    if parameter.choices:
        kind, limits = Literal[parameter.choices], {}
    flag = f"--{parameter.name.replace('_', '-')}"
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        help=parameter.help,
        rich_help_panel="Parameters of the model",
        show_default=default,
        **limits,
    )
    return inspect.Parameter(
        parameter.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=parameter.default if default else None,
        annotation=Annotated[kind if default else kind | None, option],
    )


def as_options(params: Mapping[str, Any]) -> str:
    """Return parameters as they are written on the command line."""
    return " ".join(
        f"--{'' if value is not False else 'no-'}{name.replace('_', '-')}"
        + ("" if isinstance(value, bool) else f" {value}")
        for name, value in params.items()
    )
