"""Metrics of several real processes, as one."""

import json
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from services.core.metering import folding
from services.core.metering.folding import exact, total
from services.core.metering.identity import alive, identity
from services.core.metering.together import Together
from tests.core.metering.conftest import Writer

Start = Callable[..., Writer]
HIT = {"result": "hit"}
_CHILDREN = 30


def hits(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("cache_requests_total", HIT)


def samples(collector: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


def test_the_living_and_the_dead(folder: Path, writer: Start, registry: CollectorRegistry) -> None:
    one, other = writer("gateway"), writer("beat")
    one.tell("count 2", "gauge 3", "observe 100", "loaded 1")
    other.tell("count 5", "gauge 4", "observe 1e9", "loaded 1", "loaded 2")
    loaded = {"model": "m", "family": "f", "task": "t", "device": "cpu"}

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert hits(registry) == 7
    assert value("active_connections") == 7
    assert value("model_loaded_info", version="1", **loaded) == 1, "not the sum"
    assert value("file_upload_size_bytes_bucket", le="1024.0") == 1
    assert value("file_upload_size_bytes_bucket", le="+Inf") == 2
    assert value("file_upload_size_bytes_sum") == 1e9 + 100
    assert value("program_processes", program="beat") == 1
    used = value("program_cpu_seconds_total", program="beat")
    other.tell("unloaded 2")
    assert value("model_loaded_info", version="2", **loaded) is None, "a file keeps its zero"
    other.kill()
    assert hits(registry) == 7, "what it counted still counts"
    assert value("file_upload_size_bytes_count") == 2
    assert value("active_connections") == 3, "and nothing of it goes on"
    assert value("program_processes", program="beat") is None
    assert (value("program_cpu_seconds_total", program="beat") or 0) >= (used or 0) > 0
    assert not list(folder.glob(f"*_{other.pid}-*"))
    # One that was told to end loses nothing that it had gathered.
    one.end()
    assert hits(registry) == 7
    assert value("active_connections") is None


def test_it_says_what_the_library_says(folder: Path, writer: Start) -> None:
    one, other = writer("gateway"), writer("worker-batch")
    one.tell("count 2", "gauge 3", "observe 100.25", "observe 5e6")
    other.tell("count 5", "observe 0.5")
    theirs = samples(MultiProcessCollector(None, str(folder)))  # type: ignore[no-untyped-call]
    ours = samples(Together(folder))
    moving = {key for key in theirs if key[0].startswith("program_")}
    assert len(ours) > 20
    assert {k: v for k, v in ours.items() if k not in moving} == {
        k: v for k, v in theirs.items() if k not in moving
    }
    assert moving <= set(ours)


def test_a_child_leaves_its_parents_file_alone(
    folder: Path, writer: Start, registry: CollectorRegistry
) -> None:
    one = writer()
    one.tell("count 1", "fork", "fork anew", "count 1")
    assert hits(registry) == 4
    # Without a scrape between: each child has files of its own, by its own name.
    one.tell("fork anew")
    owners = {path.name.split("_")[-1].split("-")[0] for path in folder.glob("counter_*.db")}
    assert len(owners) == 2
    assert hits(registry) == 5


def test_however_many_are_replaced_the_folder_stays_small(
    folder: Path, writer: Start, registry: CollectorRegistry
) -> None:
    one = writer()
    # Nobody scrapes: whoever begins looks after those that have ended.
    one.tell(*["fork anew"] * 10)
    assert len(list(folder.iterdir())) <= 5 + 5 + 2
    assert hits(registry) == 10
    assert len(list(folder.iterdir())) == 5 + 2


def test_folding_that_was_killed_counts_nothing_twice(
    folder: Path, writer: Start, registry: CollectorRegistry
) -> None:
    one, other = writer(), writer()
    one.tell("count 2")
    other.tell("count 5")
    other.kill()
    left = {path: path.read_bytes() for path in folder.glob(f"*_{other.pid}-*.db")}
    assert hits(registry) == 7
    # It had just written the folded file when it was killed, and removed nothing yet.
    for path, content in left.items():
        path.write_bytes(content)
    again = CollectorRegistry()
    again.register(Together(folder))
    assert hits(registry) == hits(again) == 7
    assert not any(path.exists() for path in left)
    # Or in the middle of writing it.
    (folder / "folded.new").write_text('{"sources": [')
    assert hits(again) == 7


def test_what_a_killed_process_left_half_done(
    folder: Path, writer: Start, registry: CollectorRegistry
) -> None:
    one = writer()
    one.tell("count 2")
    # Killed before its file was more than a name, in the middle of an entry, by a broken disk.
    (folder / "counter_999999-1.db").write_bytes(b"")
    (folder / "counter_999998-1.db").write_bytes((64).to_bytes(4, "little") + bytes(60))
    key = json.dumps(["cache_requests", "cache_requests_total", HIT, "x"]).encode()
    (folder / "histogram_999997-1.db").write_bytes(
        (4096).to_bytes(4, "little") + bytes(4) + len(key).to_bytes(4, "little") + key[:20]
    )
    (folder / "notes.txt").write_text("not ours")
    assert hits(registry) == 2
    assert hits(registry) == 2


def test_a_number_that_is_given_out_again() -> None:
    assert alive(identity())
    number, _, began = identity().partition("-")
    assert not alive(f"{number}-{int(began) - 1}")
    assert not alive("nobody")


def test_sums_do_not_depend_on_their_order() -> None:
    values = [0.1, 1e16, 0.2, -0.3, 1e-9, 7.0, 1e16]
    whole = total(values)
    for cut in range(len(values)):
        folded = exact(exact(values[cut:]) + values[:1])
        assert total([*folded, *values[1:cut]]) == (whole if cut else total([*values, 0.1]))
    assert math.isnan(exact([1.0, math.nan])[0])


@pytest.mark.slow
def test_no_scrape_sees_a_counter_fall(folder: Path, writer: Start) -> None:
    """Two scrape all the time, while children come, count, die without a word and are folded."""
    falls: list[str] = []
    done = threading.Event()
    looks = [0, 0]

    def scrape(which: int) -> None:
        collector, before = Together(folder), dict[Any, float]()
        while not done.is_set():
            found = {
                key: value
                for key, value in samples(collector).items()
                if key[0].endswith(("_total", "_sum", "_count", "_bucket"))
            }
            falls.extend(f"{key}: {was}" for key, was in before.items() if found.get(key, -1) < was)
            before = found
            looks[which] += 1

    steady, killed = writer(), writer()
    killed.tell("count 0.1", "observe 0.7")
    threads = [threading.Thread(target=scrape, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(_CHILDREN):
            steady.tell("count 0.1", "observe 0.7", "fork anew")
            if number == _CHILDREN // 2:
                killed.kill()
            seen, until = list(looks), time.monotonic() + 60
            while any(now == was for now, was in zip(looks, seen, strict=True)):
                assert time.monotonic() < until
                time.sleep(0.001)
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert not falls
    after = samples(Together(folder))
    counted = after["cache_requests_total", (("result", "hit"),)]
    assert counted == pytest.approx(0.1 + 1.1 * _CHILDREN)
    assert after["file_upload_size_bytes_count", ()] == _CHILDREN + 1
    assert folding.load(folder).values["counter"]
