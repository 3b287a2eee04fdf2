"""Starting up that takes too long, over a socket: loud and priced, ended by nobody who was not asked, and healing."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from instances.models import Event, Instance
from instances.novita.simulator.lifecycle import enter
from instances.operations import pause_automation, request_stop
from tests.driving import Drive, driving, event_types
from tests.factories import PERSON

STEP = 10.0


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    """Deadlines of one and two minutes; Novita takes half a minute."""
    settings.INSTANCE_STARTUP_TIMEOUT = timedelta(minutes=1)
    settings.INSTANCE_PULL_TIMEOUT = timedelta(minutes=2)
    with driving(settings) as one:
        yield one


def never_pulled(drive: Drive, **fields: Any) -> Instance:
    drive.faults({"call": "create", "kind": "never_pulls"})
    return drive.until_phase(drive.create(**fields), "pulling")


def end_the_pull(drive: Drive) -> None:
    assert drive.novita.server is not None
    world = drive.novita.server.world
    with world.lock:
        for instance in world.visible.values():
            enter(world, instance, "running", drive.now.timestamp())


def never_serves(drive: Drive, seconds: float = 10_000) -> None:
    drive.novita.turn("speed", timings={"service_delay": seconds})


def test_a_pull_past_its_deadline_is_failed_with_the_cost_and_heals(drive: Drive) -> None:
    instance = never_pulled(drive)
    pulling_since = drive.now

    drive.until_phase(instance, "failed", step=STEP)

    assert timedelta(seconds=110) < drive.now - pulling_since < timedelta(seconds=150)
    assert "pulling has taken longer than 120 s" in instance.phase_reason
    assert "still billed at $0." in instance.phase_reason
    [alarm] = drive.alarms("startup_overdue")
    assert instance.name in alarm.text
    drive.let_pass(60, step=STEP)
    assert event_types(instance).count("instance.startup_overdue") == 1
    instance.refresh_from_db()
    assert (instance.wanted, drive.count("stop"), drive.count("delete")) == ("running", 0, 0)

    end_the_pull(drive)
    drive.until_phase(instance, "ready", step=STEP)
    drive.step()
    assert drive.alarms("startup_overdue") == []
    assert "alarm.cleared" in event_types(instance)


def test_running_that_does_not_get_ready_in_time_is_failed_and_heals(drive: Drive) -> None:
    never_serves(drive, 150)
    instance = drive.until_phase(drive.create(), "checking")

    drive.until_phase(instance, "failed", step=STEP)
    assert "starting has taken longer than 60 s" in instance.phase_reason
    assert "still billed" in instance.phase_reason

    drive.until_phase(instance, "ready", step=STEP)
    drive.step()
    assert drive.alarms("startup_overdue") == []


def test_a_create_that_never_gets_to_pulling_is_failed_and_costs_nothing_yet(drive: Drive) -> None:
    drive.novita.turn("speed", timings={"creating": 200})

    instance = drive.until_phase(drive.create(), "failed", step=STEP)

    assert "creating has taken longer than 60 s" in instance.phase_reason
    assert "billed" not in instance.phase_reason


def test_the_time_of_the_pull_does_not_count_as_starting(drive: Drive) -> None:
    drive.novita.turn("speed", timings={"pulling": 90})

    instance = drive.until_phase(drive.create(), "ready", step=5)

    assert "instance.startup_overdue" not in event_types(instance)


def test_asked_to_stop_it_is_stopped_and_never_deleted(drive: Drive) -> None:
    never_serves(drive)

    instance = drive.until_phase(drive.create(on_startup_timeout="stop"), "stopped", step=STEP)

    job = drive.job(instance)
    assert (job.verb, job.requested_by_kind, job.requested_by_name) == ("stop", "rule", "startup-timeout")
    assert "has taken longer" in job.reason
    drive.step()
    assert drive.alarms("startup_overdue") == []
    assert drive.count("delete") == 0


def test_a_pull_that_was_to_be_stopped_is_stopped_once_it_runs(drive: Drive) -> None:
    instance = never_pulled(drive, on_startup_timeout="stop")
    drive.let_pass(180, step=STEP)
    instance.refresh_from_db()
    assert (instance.wanted, drive.count("stop"), drive.count("delete")) == ("stopped", 0, 0)

    end_the_pull(drive)
    drive.until_phase(instance, "stopped", step=STEP)

    assert drive.count("stop") == 1


def test_a_pull_that_was_to_be_stopped_and_goes_on_stays_alarmed_without_a_gap(drive: Drive) -> None:
    instance = never_pulled(drive, on_startup_timeout="stop")
    drive.until(lambda: drive.alarms("startup_overdue"), step=STEP)

    for _ in range(60):
        drive.step(60)
        assert drive.alarms("startup_overdue")

    [alarm] = drive.alarms("unconfirmed")
    assert "its stop waits, since Novita shows it pulling; still billing" in alarm.text
    instance.refresh_from_db()
    assert (instance.wanted, instance.phase, drive.count("stop")) == ("stopped", "requested", 0)
    assert "stop is asked for and waits, since Novita shows it pulling; still billed at $0." in instance.phase_reason

    end_the_pull(drive)
    drive.until_phase(instance, "stopped", step=STEP)
    drive.step()
    assert drive.alarms("unconfirmed") == drive.alarms("startup_overdue") == []


def test_a_persons_stop_of_a_pull_that_goes_on_is_told_ever_louder_with_what_it_costs(drive: Drive) -> None:
    instance = never_pulled(drive)
    request_stop(instance.pk, actor=PERSON, reason="enough", now=drive.now)

    drive.let_pass(9 * 60, step=30)
    assert drive.alarms("unconfirmed") == []
    drive.let_pass(3 * 60 * 60, step=120)

    told = list(Event.objects.filter(after__kind="unconfirmed").order_by("id").values_list("type", "reason"))
    assert [type_ for type_, _ in told] == ["alarm.opened", *["alarm.escalated"] * 4]  # after 10, 20, 40, 80 and 160 minutes
    spent = [float(text.split("per hour: $")[1].split(" ")[0]) for _, text in told]
    assert spent == sorted(set(spent))
    assert (drive.count("stop"), drive.count("delete")) == (0, 0)


def test_a_pause_holds_the_stop_and_its_end_makes_it_good(drive: Drive) -> None:
    never_serves(drive)
    pause_automation(until=drive.now + timedelta(minutes=4), reason="maintenance", actor=PERSON, now=drive.now)
    instance = drive.until_phase(drive.create(on_startup_timeout="stop"), "failed", step=STEP)
    drive.let_pass(60, step=STEP)
    instance.refresh_from_db()
    assert (instance.wanted, drive.count("stop")) == ("running", 0)

    drive.until_phase(instance, "stopped", step=STEP)

    assert drive.count("stop") == 1


def test_a_protected_one_is_alarmed_and_never_stopped(drive: Drive) -> None:
    never_serves(drive)
    instance = drive.until_phase(drive.create(on_startup_timeout="stop", protected=True), "failed", step=STEP)

    drive.let_pass(60, step=STEP)

    instance.refresh_from_db()
    assert (instance.wanted, drive.count("stop")) == ("running", 0)
    assert len(drive.alarms("startup_overdue")) == 1


def test_one_nobody_manages_has_no_deadline(drive: Drive) -> None:
    drive.faults({"call": "create", "kind": "never_pulls"})
    drive.novita.create(name="theirs")

    drive.let_pass(200, step=STEP)

    instance = Instance.objects.get()
    assert (instance.managed, instance.phase, instance.overdue) == (False, "pulling", "")
