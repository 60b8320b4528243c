"""The supervisor with real processes: small Python programs that note what happens to them."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.cli.supervisor.program import Program, start
from services.cli.supervisor.supervisor import Supervisor
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.anyio

# Notes its start; ends well when it is asked to, after noting that too.
_SERVICE = """
import os, signal, sys, time
def note(text):
    with open(sys.argv[1], "a") as file:
        file.write(f"{text} {os.getpid()} {time.monotonic()}\\n")
def end(*_):
    note("ended")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
note("started")
time.sleep(60)
"""


def service(name: str, notes: Path, **options: object) -> Program:
    command = (sys.executable, "-c", _SERVICE, str(notes / name))
    return Program(name, command, dict(os.environ), **options)  # type: ignore[arg-type]


def script(name: str, code: str, **options: object) -> Program:
    return Program(name, (sys.executable, "-c", code), dict(os.environ), **options)  # type: ignore[arg-type]


def noted(notes: Path, name: str) -> list[list[str]]:
    path = notes / name
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


async def until(true: Callable[[], bool], seconds: float = PATIENCE) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie has ended, whoever has yet to notice.
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


async def test_a_signal_stops_all_in_order(tmp_path: Path) -> None:
    programs = [service("first", tmp_path), service("second", tmp_path)]
    running = asyncio.create_task(Supervisor(programs, lambda _: None).run())
    await until(lambda: bool(noted(tmp_path, "first") and noted(tmp_path, "second")))
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, PATIENCE) == 0
    ends = {name: noted(tmp_path, name)[-1] for name in ("first", "second")}
    assert ends["first"][0] == ends["second"][0] == "ended"
    assert float(ends["first"][2]) < float(ends["second"][2])
    assert not any(alive(int(end[1])) for end in ends.values())


async def test_those_of_a_group_are_stopped_at_once_and_as_they_like(tmp_path: Path) -> None:
    slow = _SERVICE.replace("def end(*_):", "def end(*_):\n    time.sleep(5)")
    command = (sys.executable, "-c", slow)
    group = [
        Program(
            name, (*command, str(tmp_path / name)), dict(os.environ), group="workers",
            ended_by=signal.SIGTERM,
        )
        for name in ("a", "b")
    ]  # fmt: skip
    programs = [*group, service("last", tmp_path, ended_by=signal.SIGTERM)]
    running = asyncio.create_task(Supervisor(programs, lambda _: None).run())
    await until(lambda: all(noted(tmp_path, name) for name in ("a", "b", "last")))
    # What they are ended by is not what the supervisor is: SIGINT would kill them without a note.
    os.kill(os.getpid(), signal.SIGINT)
    assert await asyncio.wait_for(running, PATIENCE) == 0
    ends = {name: noted(tmp_path, name)[-1] for name in ("a", "b", "last")}
    assert {end[0] for end in ends.values()} == {"ended"}
    a, b, last = (float(end[2]) for end in ends.values())
    # One after the other, they would be five seconds apart.
    assert abs(a - b) < 4.5 and last > max(a, b)


async def test_what_dies_is_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    programs = [service("first", tmp_path), service("second", tmp_path)]
    running = asyncio.create_task(Supervisor(programs, said.append).run())
    await until(lambda: bool(noted(tmp_path, "second")))
    os.kill(int(noted(tmp_path, "second")[0][1]), signal.SIGKILL)
    await until(lambda: len(noted(tmp_path, "second")) == 2)
    assert said == ["second ended (-9); it starts again in 1 s"]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, PATIENCE) == 0


async def test_nothing_of_what_died_is_left(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, time\n"
        "child = os.fork()\n"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(60)"
    )
    programs = [service("first", tmp_path), script("second", code)]
    running = asyncio.create_task(Supervisor(programs, lambda _: None).run())
    await until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    leader, child = sorted(int(pid) for pid in pids.read_text().split())
    os.kill(leader, signal.SIGKILL)
    await until(lambda: not alive(child))
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, PATIENCE) == 0


async def test_the_first_one_failing_at_once_ends_everything(tmp_path: Path) -> None:
    programs = [script("first", "raise SystemExit(3)"), service("second", tmp_path)]
    assert await asyncio.wait_for(Supervisor(programs, lambda _: None).run(), PATIENCE) == 3
    assert not any(alive(int(line[1])) for line in noted(tmp_path, "second"))


async def test_one_waits_for_another_to_be_ready(tmp_path: Path) -> None:
    asked: list[float] = []

    async def ready() -> bool:
        asked.append(time.monotonic())
        return len(asked) == 3

    said: list[str] = []
    task = script("task", "print()", once=True, after=("second",), log=tmp_path / "log")
    programs = [service("first", tmp_path), service("second", tmp_path, ready=ready), task]
    running = asyncio.create_task(Supervisor(programs, said.append).run())
    await until(lambda: "task is done" in said)
    assert len(asked) == 3
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, PATIENCE) == 0


async def test_the_deaf_are_ended_with_their_children(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        f"open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(60)"
    )
    running = await start(script("deaf", code, grace=0.3))
    pids = tmp_path / "pids"
    await until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    await running.stop()
    await until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    code = (
        "import asyncio\nfrom pathlib import Path\n"
        "from services.cli.supervisor.supervisor import Supervisor\n"
        "from tests.cli.supervisor.test_supervisor import service\n"
        f"programs = [service('first', Path({str(tmp_path)!r}))]\n"
        "asyncio.run(Supervisor(programs, print).run())"
    )
    root = Path(__file__).parents[3]
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=root)
    try:
        await until(lambda: bool(noted(tmp_path, "first")), 30)
    finally:
        parent.kill()
        await parent.wait()
    await until(lambda: noted(tmp_path, "first")[-1][0] == "ended")
