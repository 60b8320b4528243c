"""Tallies: what a registry shows is the same as if each value had been observed at once."""

import random
import threading

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from services.core.tally import Tallies

BUCKETS = (0.1, 0.5, 1.0, 2.5)


def pair() -> tuple[CollectorRegistry, Tallies, Histogram, Counter]:
    registry = CollectorRegistry()
    tallies = Tallies(registry)
    histogram = Histogram("seconds", "help", ("model",), buckets=BUCKETS, registry=registry)
    counter = Counter("things", "help", ("model",), registry=registry)
    return registry, tallies, histogram, counter


def shown(registry: CollectorRegistry) -> list[str]:
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if "_created" not in line]


def test_a_histogram_is_the_same_as_by_single_observations() -> None:
    generator = random.Random(1)
    # Bounds themselves belong to their bucket; the last values belong to none but +Inf.
    values = [*BUCKETS, 0.0, 3.0, 1e9, *(generator.expovariate(1) for _ in range(3000))]
    registry, tallies, histogram, _ = pair()
    other, _, single, _ = pair()
    tally = tallies.histogram(histogram.labels("a"))
    for value in values:
        tally.observe(value)
        single.labels("a").observe(value)
    found, expected = shown(registry), shown(other)
    assert [line for line in found if "_sum" not in line] == [
        line for line in expected if "_sum" not in line
    ]
    sums = [
        float(line.split()[1]) for line in (*found, *expected) if line.startswith("seconds_sum")
    ]
    assert abs(sums[0] - sums[1]) < 1e-6 * sums[1]


def test_reading_one_sample_settles_first() -> None:
    registry, tallies, histogram, counter = pair()
    seconds, things = tallies.histogram(histogram.labels("a")), tallies.counter(counter.labels("a"))
    seconds.observe(0.2)
    things.inc()
    things.inc()
    assert registry.get_sample_value("things_total", {"model": "a"}) == 2
    assert registry.get_sample_value("seconds_count", {"model": "a"}) == 1
    assert registry.get_sample_value("seconds_count", {"model": "a"}) == 1


def test_many_values_do_not_wait_for_a_reader() -> None:
    _, tallies, histogram, _ = pair()
    series = histogram.labels("a")
    tally = tallies.histogram(series)
    for _ in range(5000):
        tally.observe(0.2)
    assert series._sum.get() > 0


def test_no_value_is_lost_between_threads() -> None:
    registry, tallies, histogram, _ = pair()
    tally = tallies.histogram(histogram.labels("a"))

    def observe() -> None:
        for _ in range(20_000):
            tally.observe(0.2)

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        tally.settle()
    for thread in threads:
        thread.join()
    assert registry.get_sample_value("seconds_count", {"model": "a"}) == 80_000


def test_what_is_dropped_is_settled_and_forgotten() -> None:
    registry, tallies, histogram, counter = pair()
    seconds, things = tallies.histogram(histogram.labels("a")), tallies.counter(counter.labels("a"))
    seconds.observe(0.2)
    things.inc()
    tallies.drop(seconds, things)
    seconds.observe(0.2)
    assert registry.get_sample_value("seconds_count", {"model": "a"}) == 1
    assert registry.get_sample_value("things_total", {"model": "a"}) == 1
