"""A stand with one worker, shared by the tests of a file; or one of a test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.jobs_stand import Running, Stand


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A stand with a worker of the queue `interactive`: short leases, short time for jobs."""
    with Stand(tmp_path_factory.mktemp("stand"), job_lease=3, job_timeout=4) as stand:
        stand.worker()
        yield stand


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """A stand of the test's own, with nothing but a Redis and a database."""
    with Stand(tmp_path, job_lease=3) as made:
        yield made


@pytest.fixture
def worker(shared: Stand) -> Running:
    """The shared worker."""
    return shared.running[0]
