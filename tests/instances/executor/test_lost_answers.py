"""A create whose answer is lost, over a Novita whose lists lag behind: one request, one machine, found and taken over."""

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from django.db.models import QuerySet

from instances.models import Instance, Machine
from sync.watch import poll_if_due
from tests.driving import Drive, driving, event_types

SETTLE_SECONDS = 60
LOSSES = ("timeout", "reset", "500")
TRIES = 100
TRIES_A_RUN = 10


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    settings.NOVITA_BREAKER_FAILURES = 1000  # answers are lost one after the other here
    with driving(settings, speed=5) as one:
        one.until(lambda: one.count("products"))
        yield one


def lag(seconds: float) -> dict[str, Any]:
    return {"call": "list", "kind": "stale_list", "seconds": seconds}


def lose_answer(kind: str, when: str = "after") -> dict[str, Any]:
    return {"call": "create", "kind": kind, "when": when, "count": 1, "seconds": 1.0}


def found_of(instance: Instance) -> QuerySet[Machine]:
    return Machine.objects.filter(instance=instance, novita_id__isnull=False)


@pytest.mark.parametrize("first", range(0, TRIES, TRIES_A_RUN))
def test_a_lost_answer_ends_with_exactly_one_machine_and_it_is_adopted(drive: Drive, first: int) -> None:
    made: dict[str, Instance] = {}
    for seed in range(first, first + TRIES_A_RUN):
        random = Random(seed)
        drive.faults(lose_answer(random.choice(LOSSES)), lag(random.uniform(0, 0.75 * SETTLE_SECONDS)))
        made[f"try-{seed}"] = instance = drive.create(f"try-{seed}")
        drive.do_jobs()
        assert drive.job(instance).call_outcome == "unclear"
        drive.until(found_of(instance).exists, step=10)

    drive.faults()
    drive.until_idle(step=10)
    for name, instance in made.items():
        [machine] = drive.machines(f"{name}--")
        instance.refresh_from_db()
        assert (instance.machine and instance.machine.novita_id) == machine["id"]
        assert drive.job(instance).state == "succeeded"
    assert drive.count("create") == TRIES_A_RUN
    assert Machine.objects.count() == TRIES_A_RUN


@pytest.mark.parametrize("kind", LOSSES)
def test_an_attempt_that_shows_only_after_the_settle_period_is_surplus_and_alarmed(drive: Drive, kind: str) -> None:
    drive.faults(lose_answer(kind), lag(4 * SETTLE_SECONDS))
    instance = drive.create()
    drive.until(lambda: len(drive.living()) == 2, step=3)
    assert drive.alarms("surplus_machine") == []

    drive.faults()
    drive.until(lambda: drive.alarms("surplus_machine"), step=3)
    drive.let_pass(120, step=5)

    first, second = drive.living()
    instance.refresh_from_db()
    assert instance.machine is not None
    assert (instance.machine.novita_id, instance.phase) == (second["id"], "ready")
    [alarm] = drive.alarms("surplus_machine")
    assert (alarm.subject, alarm.instance) == (first["id"], instance)
    assert first["id"] in alarm.text
    assert "Delete" in alarm.remedy
    assert event_types(instance).count("instance.surplus_found") == 1
    assert drive.count("delete") == drive.count("stop") == 0


def test_the_surplus_alarm_ends_when_somebody_deletes_the_machine(drive: Drive) -> None:
    drive.faults(lose_answer("500"), lag(4 * SETTLE_SECONDS))
    instance = drive.create()
    drive.until(lambda: len(drive.living()) == 2, step=3)
    drive.faults()
    drive.until(lambda: drive.alarms("surplus_machine"), step=3)

    drive.novita.command("delete", drive.living()[0]["id"])
    drive.until(lambda: not drive.alarms("surplus_machine"), step=5)

    drive.until_phase(instance, "ready")
    assert len(drive.living()) == 1


def test_an_empty_list_proves_no_attempt_absent_while_machines_are_known(drive: Drive) -> None:
    drive.ready("known")
    drive.faults(lose_answer("reset"), {"call": "list", "kind": "empty_list", "count": 1})
    instance = drive.create("lost")
    drive.do_jobs()
    drive.faults({"call": "list", "kind": "500"})
    drive.let_pass(2 * SETTLE_SECONDS, step=5)
    drive.faults({"call": "list", "kind": "empty_list", "count": 1})
    poll_if_due(drive.now + timedelta(minutes=2))

    drive.faults()
    drive.until_phase(instance, "ready", step=3)

    assert len(drive.living("lost")) == 1
    assert drive.count("create") == 2


def test_an_attempt_found_while_offers_are_read_again_is_taken_and_nothing_more_is_made(drive: Drive) -> None:
    drive.faults(lose_answer("500"), lag(4 * SETTLE_SECONDS))
    instance = drive.create()
    drive.until(lambda: drive.job(instance).state == "queued" and drive.job(instance).attempts == 1, step=1)
    drive.faults()
    poll_if_due(drive.now + timedelta(minutes=2))

    drive.until_phase(instance, "ready", step=3)

    assert (drive.count("create"), len(drive.living())) == (1, 1)
    assert drive.alarms("surplus_machine") == []
