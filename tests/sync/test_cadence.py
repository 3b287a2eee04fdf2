"""How often Novita is asked over time: the poll at rest, the watch of what moves, reads by id beyond two pages."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from instances.models import Instance, Machine, PeriodicWork
from instances.operations import request_stop
from sync import watch
from tests.driving import Drive, driving
from tests.factories import NOW, PERSON, make_account, make_instance, make_machine


@pytest.fixture
def crowd(db: None, settings: Any) -> Iterator[Drive]:
    """An account of 250 machines, three pages of a list."""
    with driving(settings, fleet="250", speed=2) as one:
        yield one


def gaps(drive: Drive, call: str) -> list[float]:
    """Seconds between calls of that kind."""
    return [later["at"] - earlier["at"] for earlier, later in pairwise(drive.calls(call))]


def test_nothing_in_motion_is_listed_once_in_each_poll_interval(drive: Drive) -> None:
    drive.ready(ports=())
    drive.let_pass(40)
    drive.forget_calls()

    drive.let_pass(125)

    assert drive.count("list") in (4, 5)
    assert all(29 <= gap <= 32 for gap in gaps(drive, "list"))
    assert drive.count("get") == 0
    assert PeriodicWork.objects.get(name="watch").detail == "nothing is in motion"


def test_what_is_in_motion_is_listed_every_five_seconds_and_the_poll_waits(drive: Drive) -> None:
    drive.until_phase(drive.create(ports=()), "pulling")
    drive.forget_calls()

    drive.let_pass(14, step=0.5)

    assert drive.count("list") in (2, 3)
    assert all(4.5 <= gap <= 6.5 for gap in gaps(drive, "list"))
    assert PeriodicWork.objects.get(name="poll").next_due_at > drive.now + timedelta(seconds=20)


def test_poll_and_watch_of_one_short_interval_are_one_list(drive: Drive, settings: Any) -> None:
    settings.INSTANCE_POLL_INTERVAL = timedelta(seconds=2)
    drive.until_phase(drive.create(ports=()), "pulling")
    drive.forget_calls()

    drive.let_pass(10, step=0.5)

    assert drive.count("list") in (4, 5, 6)


def test_a_sent_job_is_motion_and_a_wish_alone_is_not(drive: Drive) -> None:
    instance = drive.ready(ports=())
    drive.step()
    request_stop(instance.pk, actor=PERSON, reason="", now=drive.now)
    moves = [watch.in_motion()]
    drive.do_jobs()
    moves.append(watch.in_motion())
    drive.until_phase(instance, "stopped")
    moves.append(watch.in_motion())

    assert moves == [False, True, False]


def test_beyond_two_pages_what_moves_is_read_by_id(crowd: Drive) -> None:
    crowd.step()
    assert watch.pages_of_a_list() == 3
    instance = crowd.create(ports=())
    crowd.until(lambda: Machine.objects.filter(status__in=["creating", "pulling"]).exists())
    crowd.forget_calls()
    PeriodicWork.objects.filter(name="poll").update(next_due_at=crowd.now + timedelta(hours=1))

    crowd.until(lambda: Instance.objects.filter(pk=instance.pk, phase="ready").exists())

    novita_id = Machine.objects.get(instance=instance).novita_id
    read = [call for call in crowd.calls("get") if call["query"]["instanceId"] == novita_id]
    assert crowd.count("list") == 0
    assert 1 <= len(read) <= 8


def test_at_most_twenty_are_read_in_a_round_the_oldest_observed_first(drive: Drive) -> None:
    make_account(now=drive.now, list_total=250)
    for number in range(25):
        at = NOW - timedelta(seconds=number)
        make_machine(make_instance(status=""), status="pulling", now=at, novita_id=f"moving{number:02}")

    drive.clock.shift(10)
    watch.watch_if_due(drive.now)

    asked = [call["query"]["instanceId"] for call in drive.calls("get")]
    assert asked == [f"moving{number:02}" for number in range(24, 4, -1)]


def test_a_list_that_fails_gives_its_lease_back_and_is_asked_for_again_in_its_turn(drive: Drive) -> None:
    drive.faults({"call": "list", "kind": "500"})
    drive.step()
    failed = PeriodicWork.objects.get(name="poll")
    assert (failed.succeeded_at, failed.lease_until) == (None, None)
    assert "unavailable" in failed.detail

    drive.faults()
    drive.let_pass(31)

    assert PeriodicWork.objects.get(name="poll").succeeded_at is not None
