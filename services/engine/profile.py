"""What the three steps of a model cost, measured when it is warm: where each is best run."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.families.base import Model, Picture

# All three steps together within this many seconds: a model is light.
LIGHT = 0.001
# Longest that one step may keep the event loop, by estimate.
QUICK = 0.002
_RUNS = 7
# Measuring ends early once it took this long: that model is not light anyway.
_ENOUGH = 0.05
# Rows of the second measurement of `infer`, from which the price of a row is known.
_ROWS = 16
_LONGEST_WALK = 20_000
_NUMBERS = frozenset({int, float, bool, type(None)})


@dataclass(frozen=True, slots=True)
class Profile:
    """Seconds for the example; other payloads are judged by their size and rows.

    Attributes:
        size: of the example, as `payload_size` gives it.
        call, row: `infer` takes `call` seconds and `row` more for each row.
    """

    preprocess: float
    call: float
    row: float
    postprocess: float
    size: int

    @property
    def light(self) -> bool:
        """Whether a prediction takes so little that a thread hop would be felt."""
        return self.preprocess + self.call + self.row + self.postprocess < LIGHT

    def quick_around(self, size: int) -> bool:
        """Whether both steps around `infer` may run on the event loop for a payload."""
        # Two payloads of one size can differ; an example is as good as a guess goes.
        share = max(1.0, size / self.size)
        return max(self.preprocess, self.postprocess) * share < LIGHT

    def infer(self, rows: int) -> float:
        """Return the seconds that `infer` should take."""
        return self.call + self.row * rows


def measure(model: Model, example: Any, batch: int) -> Profile:
    """Time the three steps on the example; runs where `infer` runs.

    Raises:
        Exception: whatever the model raises.
    """
    times: list[tuple[float, float, float]] = []
    until = time.perf_counter() + _ENOUGH
    while len(times) < _RUNS and (not times or time.perf_counter() < until):
        prepared, before = _timed(model.preprocess, example)
        (raw,), inside = _timed(model.infer, [prepared])
        _, after = _timed(model.postprocess, prepared, raw)
        times.append((before, inside, after))
    # The quickest: whatever else the machine does can only add to it.
    before, inside, after = (min(column) for column in zip(*times, strict=True))
    rows = max(1, model.rows(prepared))
    row = _price_of_a_row(model, prepared, rows, inside, batch)
    call = max(0.0, inside - row * rows)
    return Profile(before, call, row, after, max(1, payload_size(example)))


def _price_of_a_row(model: Model, prepared: Any, rows: int, once: float, batch: int) -> float:
    copies = min(_ROWS, batch // rows)
    if copies < 2 or once > _ENOUGH / _ROWS:
        return once / rows
    together = min(_timed(model.infer, [prepared] * copies)[1] for _ in range(3))
    return max(0.0, together - once) / (rows * (copies - 1))


def _timed(step: Callable[..., Any], *inputs: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    value = step(*inputs)
    return value, time.perf_counter() - started


def payload_size(payload: Any, most: int = _LONGEST_WALK) -> int:
    """Return roughly how many numbers or words a payload holds; counts no further than `most`.

    Lists of numbers are taken at their length, so that even large ones cost nothing to judge.
    """
    kind = type(payload)
    if kind is list and (not payload or type(payload[0]) in _NUMBERS):
        return 1 + len(payload)
    if kind is str or kind is bytes:
        return 1 + len(payload) // 8
    if kind is Picture:
        return 1 + len(payload.data) // 8
    if isinstance(payload, Mapping):
        children: Any = payload.values()
    elif isinstance(payload, list | tuple):
        children = payload
    else:
        return int(getattr(payload, "size", 1))
    total = 1
    for child in children:
        total += payload_size(child, most - total)
        if total > most:
            break
    return total
