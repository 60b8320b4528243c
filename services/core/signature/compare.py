"""Whether a client written for one signature still works with another."""

from collections.abc import Iterator
from difflib import get_close_matches

import numpy as np

from services.core.signature.types import Field, Param, Signature

# What a client may go on sending when a column has become the other type.
_WIDER = {
    "integer": {"long", "float", "double"},
    "long": {"double"},
    "float": {"double"},
}


def compatible(old: Signature, new: Signature) -> list[str]:
    """Return the reasons why a client of the old signature would break; empty: it would not."""
    return [*_inputs(old, new), *_params(old, new), *_outputs(old.outputs, new.outputs)]


def _inputs(old: Signature, new: Signature) -> Iterator[str]:
    if not old.inputs or not new.inputs:
        if old.inputs != new.inputs:
            yield "only one of the two signatures says what goes in"
        return
    if old.inputs[0].is_tensor != new.inputs[0].is_tensor:
        kind = "tensors" if new.inputs[0].is_tensor else "columns"
        yield f"the model takes {kind} now, and nothing else"
        return
    named = [all(field.name is not None for field in s.inputs) for s in (old, new)]
    if named[0] != named[1]:
        yield "inputs have names now" if named[1] else "inputs have no names any more"
    elif not named[0]:
        yield from _by_position(old.inputs, new.inputs, "input")
    else:
        yield from _by_name(old.inputs, new.inputs)


def _by_position(old: tuple[Field, ...], new: tuple[Field, ...], what: str) -> Iterator[str]:
    if len(old) != len(new):
        yield f"there are {len(new)} {what}s now instead of {len(old)}"
        return
    for position, (was, now) in enumerate(zip(old, new, strict=True)):
        name = f"the {what}" if len(old) == 1 else f"{what} {position}"
        yield from _narrowed(name, was, now)


def _by_name(old: tuple[Field, ...], new: tuple[Field, ...]) -> Iterator[str]:
    before = {field.name or "": field for field in old}
    after = {field.name or "": field for field in new}
    added = [name for name in after if name not in before]
    for name, was in before.items():
        if name in after:
            yield from _narrowed(f"input {name}", was, after[name])
        else:
            close = get_close_matches(name, added, n=1)
            yield f"input {name} is gone" + (f", perhaps renamed to {close[0]}" if close else "")
    for name in added:
        if after[name].required:
            yield f"input {name} is new and required"
    kept = [name for name in after if name in before]
    moved = kept != [name for name in before if name in after] or list(after)[: len(kept)] != kept
    if moved and not old[0].is_tensor:
        yield "the columns have another order, so rows written as lists would be misread"


def _narrowed(name: str, old: Field, new: Field) -> Iterator[str]:
    if old.is_tensor:
        if not np.can_cast(np.dtype(old.dtype), np.dtype(new.dtype), "safe"):
            yield f"{name} is of type {new.dtype} now instead of {old.dtype}"
        was, now = old.shape or (), new.shape or ()
        if len(was) != len(now) or any(b not in (-1, a) for a, b in zip(was, now, strict=True)):
            yield f"{name} has the shape {list(now)} now instead of {list(was)}"
        return
    if new.type != "any" and new.type not in {old.type, *_WIDER.get(old.type, set())}:
        yield f"{name} is of type {new.type} now instead of {old.type}"
    elif new.type == old.type and old.detail != new.detail:
        yield f"the parts of {name} are declared differently"
    if new.required and not old.required:
        yield f"{name} may no longer be left out"


def _params(old: Signature, new: Signature) -> Iterator[str]:
    after = {param.name: param for param in new.params}
    for was in old.params:
        now = after.get(was.name)
        if now is None:
            yield f"parameter {was.name} is gone"
        elif _retyped(was, now):
            yield f"parameter {was.name} is of another type"


def _retyped(old: Param, new: Param) -> bool:
    wider = new.type in {old.type, *_WIDER.get(old.type, set())}
    return not wider or old.shape != new.shape or old.detail != new.detail


def _outputs(old: tuple[Field, ...], new: tuple[Field, ...]) -> Iterator[str]:
    """A client must find what it read before, as it was; what is new beside it does no harm."""
    if not old or not new:
        return
    if any(field.name is None for field in (*old, *new)):
        if [field.name for field in old] != [field.name for field in new]:
            yield "the outputs have other names"
        else:
            yield from (
                f"output {position} has changed its type or shape"
                for position, (was, now) in enumerate(zip(old, new, strict=True))
                if _form(was) != _form(now)
            )
        return
    after = {field.name: field for field in new}
    for was in old:
        if was.name not in after:
            yield f"output {was.name} is gone"
        elif _form(was) != _form(after[was.name]):
            yield f"output {was.name} has changed its type or shape"


def _form(field: Field) -> tuple[object, ...]:
    """What a client can see of an output: JSON has one kind of number for each of many types."""
    kind = field.dtype if field.is_tensor else field.type
    numbers = {"float": "real", "double": "real", "float32": "real", "float64": "real"}
    whole = {"integer": "whole", "long": "whole", "int32": "whole", "int64": "whole"}
    return (numbers.get(kind or "", whole.get(kind or "", kind)), field.shape, field.detail)
