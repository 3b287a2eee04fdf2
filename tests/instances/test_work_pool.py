"""Work in threads: each piece at most once, a group never too much, nothing after closing."""

import threading
from collections.abc import Iterator

import pytest

from instances.work_pool import WorkPool
from tests.processes.waiting import wait_for

pytestmark = pytest.mark.django_db


class Gate:
    """Work that goes on until it is opened."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.begun = threading.Semaphore(0)

    def __call__(self) -> None:
        self.begun.release()
        assert self.is_open.wait(10)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.is_open.set()


def is_empty(pool: WorkPool[str]) -> None:
    wait_for(lambda: not pool.in_hand(), seconds=10, what="all is let go")


def test_a_piece_is_in_hand_once_and_can_be_taken_again_afterwards(gate: Gate) -> None:
    pool: WorkPool[str] = WorkPool("test", threads=2)

    assert pool.hand_over("a", gate, most=9)
    assert not pool.hand_over("a", gate, most=9)
    assert pool.in_hand() == ["a"]
    gate.is_open.set()
    is_empty(pool)
    assert pool.hand_over("a", gate, most=9)


def test_a_group_gets_no_more_than_its_share_and_others_get_theirs(gate: Gate) -> None:
    pool: WorkPool[str] = WorkPool("test", threads=1)

    taken = [pool.hand_over(key, gate, group=group, most=2) for key, group in (("a", 1), ("b", 1), ("c", 1), ("d", 2))]

    assert taken == [True, True, False, True]


def test_a_thread_goes_on_with_what_nobody_has_in_its_turn(gate: Gate) -> None:
    pool: WorkPool[str] = WorkPool("test", threads=2)
    found: list[str | None] = []

    def turn() -> None:
        found.extend([pool.go_on_with(["held", "next"]), pool.go_on_with(["held"])])
        found.append(",".join(sorted(pool.in_hand())))

    assert pool.hand_over("held", gate, most=9)
    assert pool.hand_over("first", turn, group="mine", most=9)
    wait_for(lambda: pool.in_hand() == ["held"], seconds=10, what="the turn is over")

    assert found == ["next", None, "held,next"]


def test_what_breaks_off_is_let_go_too() -> None:
    pool: WorkPool[str] = WorkPool("test", threads=1)

    def broken() -> None:
        raise RuntimeError("it broke")

    assert pool.hand_over("a", broken, most=9)
    is_empty(pool)


def test_after_closing_what_began_ends_and_the_rest_is_dropped(gate: Gate) -> None:
    pool: WorkPool[str] = WorkPool("test", threads=1)
    assert pool.hand_over("begun", gate, most=9)
    assert gate.begun.acquire(timeout=10)
    assert pool.hand_over("waits", gate, most=9)

    pool.close()

    assert pool.in_hand() == ["begun"]
    assert not pool.hand_over("late", gate, most=9)
    gate.is_open.set()
    is_empty(pool)
