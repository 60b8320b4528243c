"""From payloads and answers to a baseline."""

import time
from collections.abc import Sequence
from random import Random
from typing import Any

import orjson

from services.core.signature import Signature
from services.families.base import Family, Model, predict
from services.ledger.encoding import json_bytes
from services.monitoring.drift.baseline import Baseline
from services.monitoring.drift.describe import describe
from services.monitoring.drift.samples import Sample

# Rows that a baseline is made of; more tell nothing new.
MOST_ROWS = 10_000
# Seconds for describing them: pictures have to be decoded.
_SECONDS = 5.0

# A payload, and what the model answered; None: nothing is known of that.
Pair = tuple[Any, Any]


def fit(pairs: Sequence[Pair], family: Family, signature: Signature | None) -> Baseline:
    """Return the baseline of a model that was asked and answered so.

    Args:
        signature: of the model: names for rows that come without.

    Raises:
        InvalidInputError: there are too few rows.
    """
    fields = names(signature)
    shuffled = list(pairs)
    # Should time run out, what was described is an even choice.
    Random(0).shuffle(shuffled)
    rows = max(1, -(-MOST_ROWS // max(1, len(shuffled))))
    samples: list[Sample] = []
    until = time.monotonic() + _SECONDS
    for payload, output in shuffled:
        said = None if output is None else orjson.loads(json_bytes(output))
        labels = None if said is None else family.answered(said)
        samples += describe(payload, said, labels=labels, fields=fields, max_rows=rows)
        if time.monotonic() > until:
            break
    return Baseline.fit(samples, fields=fields)


def answers(model: Model, payloads: Sequence[Any], seconds: float = 60.0) -> list[Pair]:
    """Return payloads with the model's answers, as far as time allows."""
    until = time.monotonic() + seconds
    found: list[Pair] = []
    for payload in payloads:
        found.append((payload, predict(model, payload)))
        if time.monotonic() > until:
            break
    return found


def names(signature: Signature | None) -> tuple[str, ...]:
    """Return what a model's inputs are called, in order; "" for those without a name."""
    return () if signature is None else tuple(field.name or "" for field in signature.inputs)
