"""Which core the server gets and which the client."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """Cores of the server and of the client; None: wherever the system likes."""

    server: frozenset[int] | None = None
    client: frozenset[int] | None = None


def split(pin: bool) -> Cores:
    """Give the server one core and the client another, where there are two and it is wanted."""
    if not pin or not hasattr(os, "sched_setaffinity"):
        return Cores()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return Cores()
    # The first core is where a machine's own interrupts tend to be.
    return Cores(server=frozenset(cores[-1:]), client=frozenset(cores[:1]))


@contextmanager
def on(cores: frozenset[int] | None) -> Iterator[None]:
    """Let processes that start within have these cores, by having them oneself for so long."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
