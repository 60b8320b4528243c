"""A real Prometheus of the tests' own: in a temporary folder, on a free port of this machine.

with PrometheusServer(tmp_path, targets={"slipway": [server.address]}) as prometheus:
    prometheus.wait_scraped()
    assert prometheus.query("sum(http_requests_total)")

Where the program is missing (Debian: `prometheus`), tests that want it are skipped with a notice,
and fail under CI=true.
"""

import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
import yaml

from tests.support.mlflow_server import free_port

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.1
SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Series:
    """A series of an answer: its labels, and its points as (Unix time, value), oldest first."""

    labels: dict[str, str]
    points: list[tuple[float, float]]

    @property
    def value(self) -> float:
        """The last value."""
        return self.points[-1][1]


class Daemon:
    """A monitoring program that listens on 127.0.0.1 and is ended by its process id.

    Attributes:
        folder: its configuration, data and log.
        port, url: where it answers; the same when it is started again.
        client: asks there.
    """

    names: tuple[str, ...]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=30)
        self._process: subprocess.Popen[bytes] | None = None
        self._path = program(*self.names)
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def arguments(self) -> list[str]:
        """Return the program's options."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [self._path, *self.arguments()],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it; what it has measured stays in the folder."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_SECONDS)
        self.client.close()
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=30)

    def reload(self) -> None:
        """Let it read its configuration and rules again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    @property
    def log_path(self) -> Path:
        """The file with all that it says."""
        return self.folder / "log"

    def said(self) -> str:
        """Return the end of its log."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")[-4000:]

    def ask(self, path: str, **parameters: Any) -> Any:
        """Return the JSON of `GET path`."""
        answer = self.client.get(path, params=parameters)
        assert answer.is_success, f"{path} {parameters}: {answer.text}"
        return answer.json()

    def until(self, true: Callable[[], object], seconds: float = SECONDS, why: str = "") -> None:
        """Wait until it holds; fail with the log where it does not."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"not within {seconds} s: {why}\n{self.said()}"
            time.sleep(_LOOK_SECONDS)

    def _wait_ready(self) -> None:
        def ready() -> bool:
            assert self._process is not None and self._process.poll() is None, self.said()
            try:
                return self.client.get("/-/ready").is_success
            except httpx.TransportError:
                return False

        self.until(ready, _START_SECONDS, "ready")


class PrometheusServer(Daemon):
    """A Prometheus that scrapes; started when it is made.

    Args:
        folder: where it keeps everything.
        targets: addresses (`host:port`) by the label `job`; their path is /metrics.
        interval: of scraping and of evaluating rules.
        rules: files of alerts and recording rules.
        alertmanager: address of one that is told what fires.
        config: a whole configuration instead of all these.
    """

    names = ("prometheus",)

    def __init__(
        self,
        folder: Path,
        *,
        targets: Mapping[str, Sequence[str]] | None = None,
        interval: str = "1s",
        rules: Sequence[Path] = (),
        alertmanager: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(folder)
        self.config = self.folder / "prometheus.yml"
        made = config or _config(targets or {}, interval, rules, alertmanager)
        self.config.write_text(yaml.safe_dump(dict(made), sort_keys=False), encoding="utf-8")
        self.start()

    def arguments(self) -> list[str]:
        return [
            f"--config.file={self.config}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            "--storage.tsdb.retention.time=6h",
            # What fired before it knew an Alertmanager is told again after this, not a minute.
            "--rules.alert.resend-delay=5s",
        ]

    def query(self, expression: str, at: float | None = None) -> list[Series]:
        """Return what an expression is now, or at a Unix time; a scalar has no labels."""
        extra = {} if at is None else {"time": at}
        data = self.ask("/api/v1/query", query=expression, **extra)["data"]
        if data["resultType"] == "scalar":
            return [Series({}, [_point(data["result"])])]
        return [_series(one) for one in data["result"]]

    def query_range(
        self, expression: str, start: float, end: float, step: float = 1.0
    ) -> list[Series]:
        """Return what an expression was from one Unix time to another, every `step` seconds."""
        found = self.ask("/api/v1/query_range", query=expression, start=start, end=end, step=step)
        return [_series(one) for one in found["data"]["result"]]

    def series(self, match: str = '{__name__!=""}') -> list[dict[str, str]]:
        """Return the labels of every series of the last hours that a selector matches."""
        found = self.ask("/api/v1/series", **{"match[]": match, "start": time.time() - 6 * 3600})
        listed: list[dict[str, str]] = found["data"]
        return listed

    def names_known(self) -> set[str]:
        """Return the names of all metrics that were ever scraped or recorded."""
        return set(self.ask("/api/v1/label/__name__/values")["data"])

    def alerts(self) -> list[dict[str, Any]]:
        """Return what is pending or fires: `labels`, `annotations`, `state`, `activeAt`."""
        listed: list[dict[str, Any]] = self.ask("/api/v1/alerts")["data"]["alerts"]
        return listed

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule with its `health` and `lastError`."""
        groups = self.ask("/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        """Return what is scraped: `labels`, `health`, `lastError`, `lastScrapeDuration`."""
        listed: list[dict[str, Any]] = self.ask("/api/v1/targets")["data"]["activeTargets"]
        return listed

    def wait_scraped(self, seconds: float = SECONDS) -> None:
        """Wait until every target has answered."""
        self.until(
            lambda: {one["health"] for one in self.targets()} == {"up"}, seconds, "every target up"
        )

    def wait_for(
        self,
        expression: str,
        holds: Callable[[list[Series]], object] = bool,
        seconds: float = SECONDS,
    ) -> list[Series]:
        """Wait until an expression's answer is as wanted (at first: any); return it."""
        self.until(lambda: holds(self.query(expression)), seconds, expression)
        return self.query(expression)


def program(*names: str) -> str:
    """Return the path of a program, by the first of its names that is installed; else skip."""
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    message = f"{names[0]} is not installed (Debian, Ubuntu: apt install prometheus)"
    if "alertmanager" in names[0] or names[0] == "amtool":
        message = message.replace("install prometheus", "install prometheus-alertmanager")
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def _config(
    targets: Mapping[str, Sequence[str]],
    interval: str,
    rules: Sequence[Path],
    alertmanager: str | None,
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "global": {
            "scrape_interval": interval, "scrape_timeout": interval,
            "evaluation_interval": interval,
        },
        "rule_files": [str(file) for file in rules],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(addresses)}]}
            for job, addresses in targets.items()
        ],
    }  # fmt: skip
    if alertmanager is not None:
        listed = [{"static_configs": [{"targets": [alertmanager]}]}]
        made["alerting"] = {"alertmanagers": listed}
    return made


def _series(found: Mapping[str, Any]) -> Series:
    points = found["values"] if "values" in found else [found["value"]]
    return Series(found["metric"], [_point(one) for one in points])


def _point(found: Sequence[Any]) -> tuple[float, float]:
    """Return a time and a value; Prometheus writes values as text, NaN and +Inf too."""
    text = str(found[1])
    value = {"+Inf": math.inf, "-Inf": -math.inf}.get(text)
    return float(found[0]), float(text) if value is None else value
