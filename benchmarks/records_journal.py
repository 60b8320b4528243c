"""Ways to write a record down before its answer leaves, each with the disk confirming now and then.

Each way writes the same frames at about the same pace, in ticks: what an event loop has at hand in
one turn. `record` is the writer's own time for each, `tick` that of a turn; both include waiting
for whatever the disk holds up. A thread calls fdatasync ten times a second, as the journal does.
SQLite confirms in its own way: OFF never, NORMAL at its checkpoints, both as fast as it gets.
"""

import mmap
import os
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from services.ledger.frames import PREDICTION, encode

_TICK = 16
_PACE_SECONDS = 100e-6
_SYNC_SECONDS = 0.1
_MAPPED_BYTES = 256 * 1024 * 1024

Write = Callable[[int], None]
Sync = Callable[[], None]
Way = Callable[[Path, bytes], AbstractContextManager[tuple[Write, Sync | None]]]


@dataclass(frozen=True, slots=True)
class Timed:
    """How long a way took: microseconds a record, milliseconds a tick and a confirmation."""

    name: str
    record: float
    tick_p50: float
    tick_p99: float
    worst: float
    sync_p50: float | None
    sync_worst: float | None


def payload() -> bytes:
    """Return a record of a usual size: 20 numbers in, a class and two probabilities out."""
    return orjson.dumps(
        {
            "v": 1,
            "id": "0193a6b0-4b5f-7abc-8def-0123456789ab",
            "time": 1763740000.123,
            "seconds": 0.000512,
            "model": "ml_classifier",
            "version": "1",
            "stage": "Production",
            "mode": "sync",
            "request_id": "0193a6b0-4b5f-7abc-8def-0123456789ac",
            "status": "succeeded",
            "input": {"features": [i * 0.1234567891234 for i in range(20)]},
            "output": {"prediction": 1, "probability": [0.123456789123, 0.876543210877]},
            "phases": {"queue": 1e-4, "preprocess": 1e-5, "inference": 3e-5, "postprocess": 1e-5},
            "confidence": 0.876543210877,
        }
    )


def compare(folder: Path, records: int, *, pace: float = _PACE_SECONDS) -> list[Timed]:
    """Try every way in turn; files are made in `folder` and removed."""
    frame = encode(PREDICTION, payload())
    found = []
    for name, way in _WAYS.items():
        with way(folder / "journal", frame) as (write, sync):
            found.append(_time(name, write, sync, records, pace))
    return found


def table(found: list[Timed]) -> str:
    """Return it as Markdown."""
    lines = [
        "| way | µs a record | tick p50, ms | tick p99 | worst | fdatasync p50, ms | worst |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for one in found:
        confirmed = " | ".join(
            "–" if value is None else f"{value:.2f}" for value in (one.sync_p50, one.sync_worst)
        )
        lines.append(
            f"| {one.name} | {one.record:.1f} | {one.tick_p50:.3f} | {one.tick_p99:.3f} "
            f"| {one.worst:.2f} | {confirmed} |"
        )
    return "\n".join(lines)


def _time(name: str, write: Write, sync: Sync | None, records: int, pace: float) -> Timed:
    ticks: list[float] = []
    with _confirming(sync) as confirmed:
        for _ in range(max(2, records // _TICK)):
            started = time.perf_counter()
            write(_TICK)
            ended = time.perf_counter()
            ticks.append(ended - started)
            # Busy, as a server is: a sleep would let the processor slow down.
            while time.perf_counter() - ended < _TICK * pace:
                pass
    cuts = statistics.quantiles(ticks, n=100, method="inclusive")
    return Timed(
        name,
        record=1e6 * sum(ticks) / (len(ticks) * _TICK),
        tick_p50=1e3 * cuts[49],
        tick_p99=1e3 * cuts[98],
        worst=1e3 * max(ticks),
        sync_p50=1e3 * statistics.median(confirmed) if confirmed else None,
        sync_worst=1e3 * max(confirmed) if confirmed else None,
    )


@contextmanager
def _confirming(sync: Sync | None) -> Iterator[list[float]]:
    """Have the disk confirm in a thread; yields how long each took."""
    took: list[float] = []
    stop = threading.Event()

    def run() -> None:
        while sync is not None and not stop.wait(_SYNC_SECONDS):
            started = time.perf_counter()
            sync()
            took.append(time.perf_counter() - started)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()


@contextmanager
def _file(path: Path, flags: int, size: int = 0) -> Iterator[int]:
    file = os.open(path, os.O_CREAT | os.O_RDWR | flags, 0o600)
    try:
        if size:
            os.posix_fallocate(file, 0, size)
        yield file
    finally:
        os.close(file)
        path.unlink()


@contextmanager
def _each(path: Path, frame: bytes) -> Iterator[tuple[Write, Sync]]:
    with _file(path, os.O_APPEND) as file:

        def write(count: int) -> None:
            for _ in range(count):
                os.write(file, frame)

        yield write, lambda: os.fdatasync(file)


@contextmanager
def _tick(path: Path, frame: bytes) -> Iterator[tuple[Write, Sync]]:
    with _file(path, os.O_APPEND) as file:

        def write(count: int) -> None:
            os.write(file, frame * count)

        yield write, lambda: os.fdatasync(file)


@contextmanager
def _prepared(path: Path, frame: bytes) -> Iterator[tuple[Write, Sync]]:
    with _file(path, 0, _MAPPED_BYTES) as file:
        place = 0

        def write(count: int) -> None:
            nonlocal place
            for _ in range(count):
                os.pwrite(file, frame, place)
                place = (place + len(frame)) % (_MAPPED_BYTES - len(frame))

        yield write, lambda: os.fdatasync(file)


@contextmanager
def _mapped(path: Path, frame: bytes) -> Iterator[tuple[Write, Sync]]:
    with _file(path, 0, _MAPPED_BYTES) as file, mmap.mmap(file, _MAPPED_BYTES) as memory:
        place = 0

        def write(count: int) -> None:
            nonlocal place
            for _ in range(count):
                memory[place : place + len(frame)] = frame
                place = (place + len(frame)) % (_MAPPED_BYTES - len(frame))

        yield write, lambda: os.fdatasync(file)


def _sqlite(mode: str) -> Way:
    @contextmanager
    def way(path: Path, frame: bytes) -> Iterator[tuple[Write, None]]:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(f"PRAGMA synchronous={mode}")
            database.execute("CREATE TABLE records (number INTEGER PRIMARY KEY, record BLOB)")

            def write(count: int) -> None:
                database.execute("BEGIN")
                rows = [(frame,)] * count
                database.executemany("INSERT INTO records (record) VALUES (?)", rows)
                database.execute("COMMIT")

            yield write, None
        path.unlink()

    return way


_WAYS: dict[str, Way] = {
    "append, a write for each record (the journal)": _each,
    "append, a write for each tick": _tick,
    "pwrite into a prepared file": _prepared,
    "mmap of a prepared file": _mapped,
    "SQLite, WAL, synchronous=OFF, a commit for each tick": _sqlite("OFF"),
    "SQLite, WAL, synchronous=NORMAL, a commit for each tick": _sqlite("NORMAL"),
}
