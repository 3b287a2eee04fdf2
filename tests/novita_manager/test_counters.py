"""Counters that tell Redis their steps in bundles."""

from collections.abc import Iterator

import pytest
from django.core.cache import caches

from novita_manager.counters import SharedCounters


@pytest.fixture(autouse=True)
def nothing_is_counted() -> Iterator[None]:
    caches["default"].clear()
    yield
    caches["default"].clear()


def counters() -> SharedCounters:
    """As one process has them, beside others on the same cache."""
    return SharedCounters("default", {})


def counted_by(process: SharedCounters) -> int:
    return 1 if process.add("k", 1, 60) else process.incr("k")


def test_the_first_fifty_are_exact_however_many_processes_count() -> None:
    processes = [counters() for _ in range(3)]

    assert [counted_by(processes[step % 3]) for step in range(50)] == list(range(1, 51))


def test_later_ones_are_told_in_bundles_of_a_fiftieth() -> None:
    process = counters()
    seen = [counted_by(process) for _ in range(1000)]

    assert seen == list(range(1, 1001))
    assert 970 <= caches["default"].get("k") <= 1000


def test_two_processes_miss_no_more_than_a_fiftieth_each() -> None:
    one, other = counters(), counters()
    last = 0
    for step in range(2000):
        last = counted_by(one if step % 2 else other)

    assert 2000 * 0.95 <= last <= 2000


def test_a_count_that_was_forgotten_begins_anew() -> None:
    process = counters()
    counted_by(process)
    caches["default"].clear()

    with pytest.raises(ValueError, match="k"):
        process.incr("k")
    assert counted_by(process) == 1
