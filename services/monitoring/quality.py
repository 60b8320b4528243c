"""Live quality: what the newest judged predictions of each version say, brought up to date.

Only versions with new judgements are computed, and once an hour those whose window slides on; so
many at a time that a turn ends. Whoever comes second finds nothing to do.
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from services.core.errors import InvalidInputError, NotFoundError, SlipwayError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.families._judging import judge_of
from services.families.base import Family

if TYPE_CHECKING:
    from services.ledger.database.judgements import Judgement, Key
    from services.ledger.database.opening import Database

_log = get_logger(__name__)
# Seconds between two turns, for whoever takes them.
EVERY = 15.0
_SECONDS = 30.0
_MOST_VERSIONS = 200
_SLIDES_SECONDS = 3600.0
_DAY_SECONDS = 86_400.0
# Of the answers and truths of one window: a thousand pictures full of masks.
_MOST_BYTES = 64 * 1024 * 1024
# Names that an evaluation at training gives to what is measured here.
_MEASURED = ("accuracy", "f1", "mae", "rmse", "r2", "ap", "ap50", "box_ap", "box_ap50")


def turn(settings: Settings, database: "Database", families: Mapping[str, Family]) -> int:
    """Compute what is due, for half a minute at most; return how many versions were.

    Raises:
        LedgerUnavailableError: the database does not answer.
    """
    from services.ledger.database import judgements

    until = time.monotonic() + _SECONDS
    now = time.time()
    with database.reading() as connection:
        due = list(judgements.due(connection, _micros(now - _SLIDES_SECONDS), _MOST_VERSIONS))
    done = 0
    for key, counted in due:
        if time.monotonic() >= until:
            break
        _compute(settings, database, families, key, counted)
        done += 1
    return done


def measure(
    window: "Sequence[Judgement]", families: Mapping[str, Family]
) -> tuple[int, dict[str, float]]:
    """Return how many judgements were compared, and the measures of the newest one's family."""
    if not window:
        return 0, {}
    family = window[0].family
    alike = [one for one in window if one.family == family]
    try:
        found = judge_of(families, family).quality([(one.answer, one.truth) for one in alike])
    except Exception as error:
        # What one family stumbles over must not stop the others'.
        _log.error("quality cannot be measured", family=family, error=repr(error)[:200])
        return len(alike), {}
    return len(alike), {name: value for name, value in found.items() if math.isfinite(value)}


def _compute(
    settings: Settings,
    database: "Database",
    families: Mapping[str, Family],
    key: "Key",
    counted: int,
) -> None:
    from services.ledger.database import judgements

    now = time.time()
    oldest = _oldest(settings, now)
    with database.reading() as connection:
        known = {(one.model, one.version): one for one in judgements.all_qualities(connection)}
        window = judgements.window(connection, key, oldest, settings.quality_samples, _MOST_BYTES)
    samples, metrics = measure(window, families)
    before = known.get(key)
    reference = None if before is None else before.reference
    if reference is None:
        reference = _reference(settings, key)
    with database.begin(durable=False) as connection:
        judgements.save(
            connection,
            judgements.Quality(*key, counted, _micros(now), samples, metrics, reference),
        )
        judgements.shorten(connection, key, settings.quality_samples, oldest)


def _reference(settings: Settings, key: "Key") -> dict[str, float] | None:
    """Return the held-out values of the run that made a version; None: not known now."""
    if settings.mlflow_tracking_uri is None:
        return None
    from services.registry.details import metrics_of

    try:
        found = metrics_of(settings, *key)
    except (NotFoundError, InvalidInputError):
        return {}  # what comes with Slipway is in no registry
    except SlipwayError as error:
        _log.info("no reference for quality yet", model=key[0], error=error.message)
        return None
    named = {name.lower(): float(value) for name, value in found.items()}
    return {name: named[name] for name in _MEASURED if math.isfinite(named.get(name, math.nan))}


def _oldest(settings: Settings, now: float) -> int:
    return _micros(now - settings.quality_days * _DAY_SECONDS)


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
