"""A host's clock corrected backwards: no list from before a call proves anything about it, and work goes on at once."""

from datetime import timedelta

import pytest

from instances import host_clock
from instances.models import Event, Instance, PeriodicWork, ProviderAccount
from instances.operations import request_stop
from novita_manager.health import current_report, memory
from tests.driving import Drive
from tests.factories import PERSON

LOST = {"call": "create", "kind": "timeout", "when": "after", "count": 1, "seconds": 1.0}
LATE_LISTS = {"call": "list", "kind": "stale_list", "seconds": 20.0, "count": 12}
BACK = [0, 45, 75, 120, 3600]


def set_back(drive: Drive, seconds: float) -> None:
    drive.clock.shift(timedelta(seconds=-seconds))


def told() -> int:
    return Event.objects.filter(type="clock.went_back").count()


@pytest.mark.parametrize("seconds", BACK)
@pytest.mark.parametrize("lists", ["lag", "fail"])
def test_a_create_whose_answer_is_lost_after_it_makes_one_machine(drive: Drive, seconds: int, lists: str) -> None:
    drive.let_pass(70, step=35)
    set_back(drive, seconds)
    instance = drive.create("second")
    drive.faults(LOST, LATE_LISTS if lists == "lag" else {"call": "list", "kind": "500"})
    drive.let_pass(150)
    drive.faults()
    drive.until_phase(instance, "ready")

    assert (drive.count("create"), len(drive.living())) == (1, 1)


@pytest.mark.parametrize("seconds", [120, 3600])
def test_a_create_that_made_nothing_is_asked_for_again_by_the_clock_as_it_is(drive: Drive, seconds: int) -> None:
    drive.let_pass(70, step=35)
    set_back(drive, seconds)
    instance = drive.create()
    drive.faults({**LOST, "when": "before"})

    drive.until_phase(instance, "ready", seconds=400)

    assert (drive.count("create"), len(drive.living())) == (2, 1)


@pytest.mark.parametrize("seconds", [120, 3600])
def test_lists_go_on_at_once_and_one_alarm_tells_until_then(drive: Drive, seconds: int) -> None:
    drive.ready()
    drive.let_pass(90, step=30)
    drive.faults({"call": "list", "kind": "500", "count": 1000})
    set_back(drive, seconds)
    drive.let_pass(20, step=5)

    [alarm] = drive.alarms("clock_went_back")
    assert "was set back by about" in alarm.text
    assert (told(), ProviderAccount.objects.get().complete_list_at) == (1, None)
    assert not PeriodicWork.objects.filter(next_due_at__gt=drive.now + timedelta(minutes=15)).exists()

    drive.faults()
    drive.novita.create(name="theirs")
    drive.until(lambda: Instance.objects.count() == 2, seconds=120)
    assert (told(), drive.alarms("clock_went_back")) == (1, [])
    listed_at = ProviderAccount.objects.get().complete_list_at
    assert listed_at is not None
    assert listed_at <= drive.now


@pytest.mark.parametrize("seconds", [120, 3600])
def test_a_stop_sent_before_it_is_proven_after_it(drive: Drive, seconds: int) -> None:
    instance = drive.ready()
    drive.let_pass(90, step=30)
    request_stop(instance.pk, actor=PERSON, reason="", now=drive.now)
    drive.step(1)
    assert drive.count("stop") == 1
    drive.clock.shift(timedelta(seconds=10))
    assert drive.machines()[0]["status"] == "exited"  # Novita's own clock goes on
    set_back(drive, seconds)

    drive.until_phase(instance, "stopped", seconds=60)

    drive.let_pass(120, step=10)
    instance.refresh_from_db()
    assert (instance.phase, instance.wanted, drive.count("stop")) == ("stopped", "stopped", 1)


def test_what_runs_is_still_what_ran_and_is_told_to_be_well(drive: Drive) -> None:
    instance = drive.ready()
    drive.let_pass(90, step=30)
    set_back(drive, 3600)
    drive.let_pass(120, step=5)

    instance.refresh_from_db()
    assert (instance.phase, instance.wanted) == ("ready", "running")
    assert instance.events.filter(type="instance.changed_outside").count() == 0
    assert drive.count("restart") == drive.count("stop") == drive.count("start") == 0


def test_a_small_correction_moves_nothing(drive: Drive) -> None:
    drive.let_pass(70, step=35)
    set_back(drive, 5)

    assert not host_clock.follow(drive.now)
    drive.let_pass(70, step=35)
    assert (told(), drive.alarms("clock_went_back")) == (0, [])


def test_a_list_from_the_future_is_not_called_fresh(drive: Drive) -> None:
    drive.let_pass(70, step=35)
    set_back(drive, 3600)
    memory.forget()

    provider = current_report(drive.now)["checks"]["provider"]

    assert provider["status"] == "degraded"
    assert "the clock was set back" in provider["detail"]
