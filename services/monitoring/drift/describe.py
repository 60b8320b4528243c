"""From a record (or an example to learn from) to samples, whatever the model takes."""

from collections.abc import Sequence
from typing import Any

from services.monitoring.drift.answers import Label, confidences_of, labels_of
from services.monitoring.drift.rows import read, rows_of, spread
from services.monitoring.drift.samples import Sample

# Rows of one record are alike more often than those of different ones.
MAX_ROWS = 8


def describe(
    given: Any,
    output: Any = None,
    confidence: float | None = None,
    *,
    labels: Sequence[Label] | None = None,
    fields: Sequence[str] = (),
    max_rows: int = MAX_ROWS,
) -> list[Sample]:
    """Return a sample for each row of a prediction, or for some where there are many.

    Odd data are no error: a value that cannot be read is missing, and of an input that is not on
    record only the answer counts.

    Args:
        given: the input as JSON values (arrays are fine), or a `Picture`; None: not on record.
        output: the answer as JSON values; None: there is none.
        confidence: of the record; counts where it has one row and the output does not say.
        labels: answer of each row, where the family tells; None: read from the output.
        fields: names of the model's inputs, in order.
        max_rows: how many rows to take at most; they are evenly spread.
    """
    rows, count = rows_of(given, fields, max_rows)
    answers = list(labels_of(output) if labels is None else labels)
    scores = confidences_of(output)
    count = count or len(answers) or len(scores)
    if not count and confidence is not None:
        count = 1
    if not scores and count == 1:
        scores = [confidence]
    if len(answers) != count:
        answers = []
    if len(scores) != count:
        scores = []
    found = []
    for place, index in enumerate(spread(count, max_rows)):
        values, hidden = read(rows[place]) if rows else ({}, frozenset[str]())
        answer = answers[index] if answers else None
        sample = Sample(values, answer, scores[index] if scores else None, hidden)
        if not sample.empty or hidden:
            found.append(sample)
    return found
