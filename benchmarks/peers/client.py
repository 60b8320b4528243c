"""The client's side of one measurement: wrk where there is one, else our own generator.

Either runs in a process of its own, on the client's core, and is asked for a bounded time.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.load import Measured, Target
from benchmarks.peers import cores
from benchmarks.peers.contenders import ROOT

_SLACK_SECONDS = 30.0

# Strings are put together by hand, for `wrk.format` would keep the client busier than the server.
_SCRIPT = """\
local head, tail, number = {head}, {tail}, {first}
request = function()
  number = number + 1
  return head .. string.format("%07d", number % 10000000) .. tail
end
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{{"requests": %d, "microseconds": %d, "errors": %d, "p50": %f, "p90": %f, "p99": %f, '
    .. '"worst": %f}}\\n',
    summary.requests - errors.status, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
"""


def wrk() -> str | None:
    """Return where wrk is."""
    return shutil.which("wrk")


class Client:
    """Asks servers; `folder` is for its own files."""

    def __init__(self, folder: Path, share: cores.Cores, *, own: bool = False) -> None:
        self._folder = folder
        self._share = share
        self.wrk = None if own else wrk()

    @property
    def name(self) -> str:
        """What runs the closed loop."""
        return "benchmarks.load" if self.wrk is None else "wrk"

    def closed(self, target: Target, connections: int, seconds: float) -> Measured:
        """Ask over so many connections, each again once it is answered."""
        if self.wrk is None:
            return self._own(target, connections, seconds)
        script = self._folder / "wrk.lua"
        before, after = target.parts()
        script.write_text(
            _SCRIPT.format(head=_lua(before), tail=_lua(after), first=target.first),
            encoding="utf-8",
        )
        command = [
            self.wrk, "--threads", "1", "--connections", str(connections),
            "--duration", f"{max(1, round(seconds))}s", "--timeout", "10s",
            "--script", str(script), f"http://127.0.0.1:{target.port}",
        ]  # fmt: skip
        found = json.loads(self._run(command, seconds))
        return Measured(
            requests=found["requests"],
            seconds=found["microseconds"] / 1e6,
            errors=found["errors"],
            unfinished=0,
            **{key: found[key] / 1e3 for key in ("p50", "p90", "p99", "worst")},
        )

    def open(self, target: Target, connections: int, seconds: float, rate: float) -> Measured:
        """Ask at a fixed rate."""
        return self._own(target, connections, seconds, "--rate", str(rate))

    def _own(self, target: Target, connections: int, seconds: float, *more: str) -> Measured:
        body = self._folder / "body.json"
        body.write_text(target.body, encoding="utf-8")
        command = [
            sys.executable, "-m", "benchmarks.load", "--port", str(target.port),
            "--path", target.path, "--body", str(body), "--first", str(target.first),
            "--connections", str(connections), "--seconds", str(seconds), *more,
        ]  # fmt: skip
        return Measured(**json.loads(self._run(command, seconds)))

    def _run(self, command: list[str], seconds: float) -> str:
        """Return the last line that a client prints.

        Raises:
            subprocess.SubprocessError: it failed or did not end in time; it is ended then.
        """
        with cores.on(self._share.client):
            done = subprocess.run(
                command,
                cwd=ROOT,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                timeout=seconds + _SLACK_SECONDS,
            )
        return done.stdout.strip().splitlines()[-1]


def _lua(text: str) -> str:
    """Return a Lua string; the text is ASCII without control characters other than \\r and \\n."""
    return json.dumps(text)
