"""How long it takes to check a payload against a signature.

    python -m benchmarks.validation

Medians in microseconds; `convert` is `numpy.array` alone on the same values, which checks nothing.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from services.core.signature import Field, Signature
from services.core.signature.validate import Validator

_ROUNDS = 2000
_MIXED = ("long", "double", "string", "boolean", "datetime")
_VALUES: dict[str, Any] = {
    "long": 3,
    "double": 0.5,
    "string": "Bern",
    "boolean": True,
    "datetime": "2024-05-01T12:30:00",
}


def median(work: Callable[[], Any]) -> float:
    """Return the median time of a call in microseconds."""
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1000


def cases() -> list[tuple[str, Signature, Any]]:
    """Return what is timed: a title, the signature, and the inputs."""
    generator = np.random.default_rng(0)
    doubles = Signature(tuple(Field(f"f{i}", "double") for i in range(20)))
    image = Signature((Field(None, "tensor", dtype="float32", shape=(-1, 784)),))
    mixed = Signature(tuple(Field(kind, kind) for kind in _MIXED))
    one = generator.random(20).tolist()
    names = [field.name for field in doubles.inputs]
    return [
        ("20 numbers, a row", doubles, [one]),
        ("20 numbers, a record", doubles, [dict(zip(names, one, strict=True))]),
        ("20 numbers, 1000 rows", doubles, generator.random((1000, 20)).tolist()),
        ("784 pixels", image, generator.random((1, 784)).tolist()),
        ("5 mixed columns, a record", mixed, [_VALUES]),
        ("5 mixed columns, 1000 records", mixed, [_VALUES] * 1000),
    ]


def main() -> None:
    """Print one line for each case."""
    print(f"{'':32}{'check':>12}{'convert':>12}")
    for title, signature, inputs in cases():
        validator = Validator(signature, max_rows=10_000)
        mine = median(lambda validator=validator, inputs=inputs: validator.inputs(inputs))  # type: ignore[misc]
        plain = ""
        if isinstance(inputs[0], list):
            plain = f"{median(lambda inputs=inputs: np.array(inputs)):12.1f}"  # type: ignore[misc]
        print(f"{title:32}{mine:12.1f}{plain}")


if __name__ == "__main__":
    main()
