"""Finding the version that a person means, and the stage it goes to next."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from services.core.errors import ConflictError, NotFoundError
from services.registry.catalogue import Stage, VersionRef

# The tag that holds the user's own version, such as `1.0.0`.
VERSION_TAG = "version"

_NEXT = {
    Stage.NONE: Stage.STAGING,
    Stage.STAGING: Stage.PRODUCTION,
}


def version(versions: Sequence[VersionRef], wanted: str) -> VersionRef:
    """Return the version of that number, or else the one whose tag `version` says so.

    Args:
        versions: of one model.

    Raises:
        NotFoundError: there is none.
        ConflictError: several versions carry the tag.
    """
    for ref in versions:
        if ref.version == wanted:
            return ref
    tagged = [ref for ref in versions if ref.tags.get(VERSION_TAG) == wanted]
    if len(tagged) == 1:
        return tagged[0]
    numbers = ", ".join(ref.version for ref in tagged)
    if tagged:
        raise ConflictError(
            "Several versions carry this tag.", where="version", expected=f"one of {numbers}"
        )
    known = [_label(ref) for ref in versions]
    raise NotFoundError(
        "The model has no such version.", where="version", expected=_some(known, "none exists")
    )


def model(names: Iterable[str], wanted: str) -> NotFoundError:
    """Return the error for a model that is not registered, with the names that come close."""
    known = sorted(names)
    lower = {name.lower(): name for name in known}
    close = [lower[name] for name in get_close_matches(wanted.lower(), lower, n=3, cutoff=0.5)]
    hint = _some(close or known, "a registered model; there is none yet")
    return NotFoundError(f"No model {wanted!r} is registered.", where="model", expected=hint)


def target(ref: VersionRef, to: Stage | None) -> Stage:
    """Return the stage a version goes to: `to`, or the next one.

    Raises:
        ConflictError: it is there already, or there is no next one.
    """
    stage = to or _NEXT.get(ref.stage)
    if stage is None and ref.stage is Stage.ARCHIVED:
        raise ConflictError(
            f"Version {ref.version} of {ref.name} is archived.",
            where="--to",
            expected="the stage it shall go to",
        )
    if stage is None or stage is ref.stage:
        raise ConflictError(f"Version {ref.version} of {ref.name} is in {ref.stage} already.")
    return stage


def require(ref: VersionRef, source: Stage | None) -> None:
    """Check that a version is where the caller believes it to be.

    Raises:
        ConflictError: it is not.
    """
    if source is not None and ref.stage is not source:
        raise ConflictError(
            f"Version {ref.version} of {ref.name} is in {ref.stage}, not in {source}.",
            where="--source-stage",
            expected=str(ref.stage),
        )


def _label(ref: VersionRef) -> str:
    tag = ref.tags.get(VERSION_TAG)
    return ref.version if tag is None else f"{ref.version} ({tag})"


def _some(names: Sequence[str], none: str, most: int = 8) -> str:
    if not names:
        return none
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
