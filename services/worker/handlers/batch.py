"""Batch jobs: many inputs, chunk by chunk; what is finished stays, whatever becomes of the worker.

A chunk is committed with the records of its predictions in one transaction, checked by the token.
Whoever takes the job next goes on behind the last one: no item is on record twice, and none is
left out.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, TypeVar

from services.core.errors import LedgerFullError, LedgerUnavailableError, SlipwayError
from services.core.logging import get_logger
from services.jobs import batches, chunks
from services.jobs.batches import Batch, Item, Pace
from services.ledger.database import job_chunks
from services.ledger.database.job_chunks import Chunk
from services.ledger.database.opening import Database
from services.worker.handlers._items import Made, Predictor
from services.worker.outcome import Done, NewRecord, Reason, interruption
from services.worker.work import Work

T = TypeVar("T")

_log = get_logger(__name__)
# Bytes of items that one chunk reads into memory, and of lines that it writes.
_CHUNK_BYTES = 32 * 1024 * 1024
_PAUSE = 0.5
# In a job's progress: how many items come next; which one is tried alone, and how often it was.
_NEXT, _SUSPECT, _DEATHS = "next", "suspect", "deaths"
_MOST_DEATHS = 2


class WorkerLostError(SlipwayError):
    """The worker died on this item: once among others, then twice while it was alone."""

    code = "worker_lost"


def predict_batch(work: Work) -> Done:
    """Do a batch job, or the rest of one.

    Raises:
        SlipwayError: the model is not there, or does not answer; what was done stays.
    """
    settings = work.child.settings
    folder = settings.data_dir / "jobs" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        if work.job.payload is not None:
            work.child.blobs.fetch(work.job.payload, file)
        file.seek(0)
        return _Run(work, file).run()


class _Run:
    """One attempt at a batch job."""

    def __init__(self, work: Work, file: BinaryIO) -> None:
        self._work = work
        self._job = work.job
        self._child = work.child
        self._batch = Batch.of(work.job.options)
        self._file = file
        self._pace = Pace()
        self._limit = work.child.settings.job_timeout
        with self._database.reading() as connection:
            self._done = job_chunks.every(connection, self._job.id)
        # Whoever had it before has died since the last chunk: by chance, or of one of the items
        # that it had begun. These are done one by one.
        self._careful = self._begun() if self._job.attempts > 1 else 0

    @property
    def _database(self) -> Database:
        return self._child.database

    def run(self) -> Done:
        first = self._succeeded + self._failed
        self._work.told(self._shown())
        rest = batches.items(self._batch.kind, self._file, self._largest, first)
        predictor = Predictor(self._child, self._job, self._batch, self._limit)
        for item in islice(rest, self._careful):
            self._alone(predictor, item)
            self._careful -= 1
        while some := list(self._some(rest)):
            self._chunk(predictor, some)
        ref = self._patiently(self._output)
        return Done(
            {
                "ref": ref,
                "items": self._batch.items,
                "succeeded": self._succeeded,
                "failed": self._failed,
            }
        )

    def _some(self, rest: Iterator[Item]) -> Iterator[Item]:
        """Yield the items of the next chunk."""
        size = 0
        for item in islice(rest, self._pace.size):
            yield item
            size += len(item.data)
            if size > _CHUNK_BYTES:
                return

    def _alone(self, predictor: Predictor, item: Item) -> None:
        """Do an item by itself; not if the worker died the last times that this was done."""
        known = self._job.progress if isinstance(self._job.progress, dict) else {}
        deaths = known.get(_DEATHS, 0) if known.get(_SUSPECT) == item.index else 0
        if deaths >= _MOST_DEATHS:
            _log.error("an item kills its worker", job_id=self._job.id, item=item.index)
            error = WorkerLostError("The worker died of this item, or on it, three times.")
            self._keep([Made(item, error=error)])
            return
        marked = self._progress() | {_SUSPECT: item.index, _DEATHS: deaths + 1}
        with self._child.writing() as connection:
            held = job_chunks.suspect(connection, self._job.id, self._job.token, marked)
        if not held:
            raise interruption(Reason.LOST)
        self._chunk(predictor, [item])

    def _chunk(self, predictor: Predictor, items: Sequence[Item]) -> None:
        self._work.check()
        began = time.monotonic()
        made = predictor.predict(items)
        self._pace.took(len(items), time.monotonic() - began)
        self._work.check()
        self._keep(made)

    def _keep(self, made: Sequence[Made]) -> None:
        """Commit a chunk: its lines, then the row and the records."""
        lines = b"".join(one.line() for one in made)
        failed = sum(one.error is not None for one in made)
        ref = self._patiently(lambda: self._child.blobs.put(lines, batches.OUTPUT))
        chunk = Chunk(len(self._done), ref, len(made) - failed, failed)
        records = [record for one in made for record in one.records]
        self._done.append(chunk)
        progress = self._progress()
        if not self._patiently(lambda: self._commit(chunk, records, progress)):
            raise interruption(Reason.LOST)
        self._work.told(self._shown())

    def _commit(self, chunk: Chunk, records: list[NewRecord], progress: Any) -> bool:
        job = self._job
        with self._database.reading() as connection:
            if chunk in job_chunks.every(connection, job.id):
                # The database had it before its answer got lost.
                return True
        with self._child.writing() as connection:
            return chunks.finish(connection, job.id, job.token, chunk, records, progress)

    def _output(self) -> str:
        folder = self._child.settings.data_dir / "jobs" / "tmp"
        return batches.output(self._child.blobs, self._done, folder)

    def _patiently(self, step: Callable[[], T]) -> T:
        """Do a step, and wait for a database or a disk that is away."""
        until = time.monotonic() + self._limit
        while True:
            self._work.check()
            try:
                return step()
            except (LedgerUnavailableError, LedgerFullError):
                if time.monotonic() > until:
                    raise
            time.sleep(_PAUSE)

    def _begun(self) -> int:
        """Return how many items the last attempt may have been at."""
        known = self._job.progress
        size = known.get(_NEXT) if isinstance(known, dict) else None
        return size if isinstance(size, int) else self._pace.size

    def _shown(self) -> dict[str, Any]:
        return batches.progress(self._batch, self._succeeded, self._failed, self._pace.rate)

    def _progress(self) -> dict[str, Any]:
        return self._shown() | {_NEXT: self._careful or self._pace.size}

    @property
    def _succeeded(self) -> int:
        return sum(chunk.succeeded for chunk in self._done)

    @property
    def _failed(self) -> int:
        return sum(chunk.failed for chunk in self._done)

    @property
    def _largest(self) -> int:
        return self._child.settings.max_file_size
