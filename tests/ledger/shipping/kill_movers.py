"""Kills movers of job records at one point after another, and sees what comes of their records.

Arguments: a folder, the database's address (or nothing: SQLite), and the points, or none for all.
Each mover is a child that was forked for it, and dies by SIGKILL. Prints a line of JSON a point.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.core.settings import Settings
from services.ledger.database import record_claims
from services.ledger.database.opening import open_database
from services.ledger.shipping import jobrecords, segment
from services.ledger.shipping.jobrecords import JobRecords
from services.ledger.shipping.segment import OwnSegments
from tests.ledger.shipping import moving

_COUNT, _PIECE = 25, 10


def _die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _before(owner: Any, name: str, nth: int = 1) -> None:
    """Die at the call of a function, when it is called for the nth time."""
    _replace(owner, name, nth, lambda call: _die())


def _after(owner: Any, name: str, nth: int = 1) -> None:
    """Die when a function returns, the nth time."""
    _replace(owner, name, nth, lambda call: (call(), _die()))


def _replace(owner: Any, name: str, nth: int, act: Callable[[Callable[[], Any]], Any]) -> None:
    real = getattr(owner, name)
    calls = 0

    def replaced(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            return act(lambda: real(*given, **named))
        return real(*given, **named)

    setattr(owner, name, replaced)


def _half() -> None:
    """Die in the middle of a write of records, with a part of one written."""
    real = segment._write

    def write(file: int, data: bytes) -> int:
        if len(data) < 1000:
            return real(file, data)
        real(file, data[: len(data) * 2 // 3])
        return int(_die())

    segment._write = write


# In the order in which a piece comes to them. The second piece where the first has its own story.
POINTS: dict[str, Callable[[], None]] = {
    "before the folder has an id": lambda: _before(jobrecords, "_make_folder_id"),
    "before the first segment": lambda: _before(OwnSegments, "begin"),
    "before the claim": lambda: _before(record_claims, "claim"),
    "claim not committed": lambda: _after(record_claims, "claim", 2),
    "claimed": lambda: _before(OwnSegments, "append", 2),
    "half written": _half,
    "not confirmed": lambda: _before(os, "fdatasync", 3),
    "appended": lambda: _after(OwnSegments, "append", 2),
    "indexed": lambda: _before(record_claims, "moved", 2),
    "deletion not committed": lambda: _after(record_claims, "moved", 2),
    "deleted": lambda: _after(JobRecords, "_go_on", 2),
    "sealed": lambda: _after(OwnSegments, "seal"),
}
SETTLING: dict[str, Callable[[], None]] = {
    "before it is confirmed": lambda: _before(jobrecords, "confirm"),
    "before the deletion": lambda: _before(record_claims, "moved"),
    "in the transaction": lambda: _after(record_claims, "release"),
    "settled": lambda: _after(JobRecords, "_settle"),
}


def _killed(settings: Settings, point: Callable[[], None]) -> bool:
    """Run a mover until it is killed at a point; return whether it was."""
    child = os.fork()
    if child == 0:
        try:
            point()
            moving.run_until_killed(settings, open_database(settings), 60.0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _try(folder: Path, url: str | None, points: list[Callable[[], None]]) -> dict[str, Any]:
    settings = Settings(
        _env_file=None, data_dir=folder, ledger_database_url=url, num_threads=1,
        ledger_segment_seconds=0.3,
    )  # fmt: skip
    database = open_database(settings)
    before = moving.counts(database)
    ids = moving.add(database, _COUNT)
    database.close()
    killed = [_killed(settings, point) for point in points]
    database = open_database(settings)
    moving.finish(settings, database)
    after = moving.counts(database)
    database.close()
    return {
        "killed": killed,
        "once": moving.kept(folder) == sorted(ids),
        "left": after[0],
        "indexed": after[1] - before[1],
        "counted": after[2] - before[2],
    }


def main(folder: str, url: str, *names: str) -> None:
    """Try each point, and each point of settling after one that leaves something to settle."""
    jobrecords._MOST_RECORDS = _PIECE
    tries: dict[str, list[Callable[[], None]]] = {name: [at] for name, at in POINTS.items()}
    for first in ("claimed", "half written", "appended"):
        for name, at in SETTLING.items():
            tries[f"{first}, then {name}"] = [POINTS[first], at]
    for number, (name, points) in enumerate(tries.items()):
        if not names or name in names:
            found = _try(Path(folder) / str(number), url or None, points)
            sys.stdout.write(json.dumps({"point": name, **found}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
