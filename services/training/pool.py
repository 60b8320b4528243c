"""Processes that run trials of a sweep side by side, each one trial after the other.

They are programs of their own and not forks: a fork of a process with threads may stand still, and
the worker that this runs in is one that may have no children in Python's own words.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

# How long one that was killed takes to be gone, at most.
_GONE_SECONDS = 5.0
# How long one may still be there that has closed its output.
_ENDING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """A trial, for `trial_process`: its number, and what is sent."""

    number: int
    order: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """What is heard of a trial; `body` is None when it begins."""

    number: int
    body: Mapping[str, Any] | None

    @property
    def last(self) -> bool:
        """Whether the trial has ended with it."""
        return self.body is not None and "epoch" not in self.body


class _Process:
    """One of them, and the trial it has."""

    def __init__(
        self, start: Mapping[str, Any], heard: "queue.SimpleQueue[tuple[_Process, str]]"
    ) -> None:
        self.task: Task | None = None
        threads = str(start["threads"])
        self._running = subprocess.Popen(
            [sys.executable, "-m", "services.training.trial_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
            # A Ctrl-C at the terminal is for the one that started them.
            start_new_session=True,
        )
        self._send(start)
        self._heard = heard
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def begin(self, task: Task) -> None:
        self.task = task
        self._send(task.order)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._running.kill()

    def ended(self) -> str:
        """Return how it ended, for it says nothing any more."""
        with suppress(subprocess.TimeoutExpired):
            self._running.wait(_ENDING_SECONDS)
        self.kill()
        return self.wait()

    def wait(self) -> str:
        """Wait until it is gone, and return how it ended."""
        code = self._running.wait(_GONE_SECONDS)
        self._listener.join(_GONE_SECONDS)
        for pipe in (self._running.stdin, self._running.stdout):
            assert pipe is not None
            with suppress(OSError):  # there may be something in it, and nobody to take it
                pipe.close()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _send(self, line: Mapping[str, Any]) -> None:
        assert self._running.stdin is not None
        with suppress(BrokenPipeError):  # it is dead: that is heard soon
            self._running.stdin.write(json.dumps(line) + "\n")
            self._running.stdin.flush()

    def _listen(self) -> None:
        assert self._running.stdout is not None
        for line in self._running.stdout:
            self._heard.put((self, line))
        self._heard.put((self, ""))


class Pool:
    """At most so many processes at once, as a context: none is left behind it.

    Args:
        start: what each is told first: `settings`, `family`, `source`, `params`, `threads`.
    """

    def __init__(self, start: Mapping[str, Any], count: int) -> None:
        self._start = start
        self._count = count
        self._heard: queue.SimpleQueue[tuple[_Process, str]] = queue.SimpleQueue()
        self._processes: list[_Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._processes.clear()

    def run(self, tasks: Iterable[Task]) -> Iterator[Message]:
        """Run trials, and return what is heard of them as it comes."""
        waiting = deque(tasks)
        under_way = 0
        while waiting or under_way:
            while waiting and under_way < self._count:
                task = waiting.popleft()
                # Before it begins: whoever hears of it may refuse.
                yield Message(task.number, None)
                self._idle().begin(task)
                under_way += 1
            process, line = self._heard.get()
            if process not in self._processes:
                continue
            message = self._message(process, line)
            if message is not None:
                under_way -= message.last
                yield message

    def _idle(self) -> _Process:
        for process in self._processes:
            if process.task is None:
                return process
        process = _Process(self._start, self._heard)
        self._processes.append(process)
        return process

    def _message(self, process: _Process, line: str) -> Message | None:
        task = process.task
        if line:
            assert task is not None
            message = Message(task.number, json.loads(line))
            if message.last:
                process.task = None
            return message
        self._processes.remove(process)
        how = process.ended()
        if task is None:
            return None
        return Message(task.number, {"error": f"The trial's process died ({how})."})
