"""Jobs for tests with everything real: a Redis, the ledger's database, workers as processes.

with Stand(tmp_path) as stand:
    stand.worker("interactive")
    job = stand.submit({"do": "echo", "echo": 1})
    assert stand.ended(job).state == SUCCEEDED
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import psutil
import redis

from services.core.ids import new_id
from services.core.settings import Settings
from services.jobs.blobs import Blobs
from services.jobs.names import INTERACTIVE, PREDICT, RUN
from services.jobs.payloads import pack
from services.ledger.database import job_adding, job_totals, jobs, workers
from services.ledger.database.job_rows import Job, NewJob
from services.ledger.database.opening import Database, open_database
from tests.conftest import settings_for_tests
from tests.support.no_op import NAME
from tests.support.patience import PATIENCE
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).parents[2]


class Running:
    """A process of the stand, with its log at hand."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=log.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def children(self) -> list[int]:
        """Return the processes that do the jobs."""
        return [child.pid for child in psutil.Process(self.pid).children()]

    def wait_for(self, words: str, seconds: float = PATIENCE) -> None:
        """Wait until something stands in the log."""
        wait(lambda: words in self.said or self.process.poll() is not None, seconds, self)
        assert words in self.said, self.said[-4000:]

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for the end; return the exit code."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it and all its children at once."""
        with_group(self.process, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def stop(self) -> int:
        """Ask it to end, and wait; what does not is killed."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
        with_group(self.process, signal.SIGKILL)
        return self.process.wait(PATIENCE)


def with_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Send a signal to a process and its children."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def wait(condition: Any, seconds: float = PATIENCE, running: Running | None = None) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, running.said[-4000:] if running else "it did not come"
        time.sleep(0.02)


class Stand:
    """A folder with a Redis, a database and whatever is started here; all of it ends with it.

    Attributes:
        settings: of everybody here.
        redis: may be killed and started again.
        blobs: large payloads and results.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.redis = RedisServer(folder / "redis")
        self._values = {
            "data_dir": folder, "redis_url": self.redis.url, "num_threads": 1,
            "shutdown_delay": 0, **settings,
        }  # fmt: skip
        try:
            self.settings: Settings = settings_for_tests(**self._values)
        except BaseException:
            self.redis.kill()
            raise
        self.running: list[Running] = []
        self.blobs = Blobs(self.settings)
        self._database: Database | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.running:
            if one.process.poll() is None:
                one.kill()
        if self._database is not None:
            self._database.close()
        self.redis.kill()

    @property
    def database(self) -> Database:
        """The ledger's."""
        if self._database is None:
            self._database = open_database(self.settings)
        return self._database

    # --- processes ---------------------------------------------------------------------------

    def start(self, module: str, *arguments: str, **settings: Any) -> Running:
        """Start a module of Python with the stand's settings, and others (names in any case)."""
        known = {name.upper() for name in Settings.model_fields}
        environment = {k: v for k, v in os.environ.items() if k not in known}
        for name, value in {**self._values, **settings}.items():
            text = ",".join(value) if isinstance(value, tuple | list) else str(value)
            environment[name.upper()] = text
        environment["PYTHONPATH"] = str(ROOT)
        log = self.folder / f"{module}-{'-'.join(arguments)}-{len(self.running)}.log"
        made = Running([sys.executable, "-m", module, *arguments], environment, log)
        self.running.append(made)
        return made

    def worker(self, queue: str = INTERACTIVE, *arguments: str, **settings: Any) -> Running:
        """Start a worker of the no-op family, and wait until it is ready."""
        made = self.start("tests.support.serve_jobs", queue, *arguments, **settings)
        made.wait_for("ready.")
        return made

    def beat(self, **settings: Any) -> Running:
        """Start a beat, and wait until it is there."""
        made = self.start("services.worker", "beat", **settings)
        made.wait_for("beat ready")
        return made

    # --- jobs --------------------------------------------------------------------------------

    def add(self, payload: Any, **values: Any) -> str:
        """Accept a job without a message about it; return its id."""
        made = pack(payload, self.blobs, self.settings.job_inline_bytes)
        now = int(time.time() * 1e6)
        options = {**values.pop("options", {}), **made.options}
        given: dict[str, Any] = {
            "id": new_id(), "queue": INTERACTIVE, "task": PREDICT, "subject": NAME,
            "fingerprint": "0" * 64, "created": now, "payload": made.ref, **values,
        }  # fmt: skip
        with self.database.begin() as connection:
            job, _ = job_adding.add(connection, NewJob(options=options, **given))
        return job.id

    def publish(self, *ids: str, queue: str = INTERACTIVE) -> None:
        """Send messages about jobs."""
        from services.jobs.celery_app import make_app

        app = make_app(self.settings)
        now = int(time.time() * 1e6)
        with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
            for id in ids:
                app.send_task(
                    RUN, kwargs={"id": id, "queue": queue}, queue=queue, producer=producer
                )
        with self.database.begin(durable=False) as connection:
            jobs.published(connection, ids, now)

    def submit(self, payload: Any, **values: Any) -> str:
        """Accept a job and send a message about it; return its id."""
        id = self.add(payload, **values)
        self.publish(id, queue=values.get("queue", INTERACTIVE))
        return id

    def job(self, id: str) -> Job:
        """Return a job as it is now."""
        with self.database.reading() as connection:
            found = jobs.get(connection, id)
        assert found is not None
        return found

    def wait_state(self, id: str, state: int, seconds: float = PATIENCE) -> Job:
        """Wait until a job is in a state; return it."""
        wait(lambda: self.job(id).state == state or self.job(id).ended, seconds)
        job = self.job(id)
        assert job.state == state, (job.state, job.error)
        return job

    def ended(self, id: str, seconds: float = PATIENCE) -> Job:
        """Wait until a job has ended; return it."""
        wait(lambda: self.job(id).ended, seconds)
        return self.job(id)

    def totals(self) -> dict[str, int]:
        """Return the counters of jobs."""
        with self.database.reading() as connection:
            return job_totals.read(connection)

    def present(self, queue: str) -> list[workers.Worker]:
        """Return the workers of a queue that say they are there."""
        since = int((time.time() - 20) * 1e6)
        with self.database.reading() as connection:
            return [one for one in workers.present(connection, since) if one.queue == queue]

    def client(self) -> "redis.Redis":
        """Return a client of the Redis; the caller closes it."""
        return redis.Redis.from_url(self.redis.url)


@contextmanager
def stand(folder: Path, **settings: Any) -> Iterator[Stand]:
    """Set one up for the block."""
    with Stand(folder, **settings) as made:
        yield made
