"""A stop that auto-stop asked for and that still waits: what a person says meanwhile counts."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from instances import operations
from instances.events import AUTO_STOP
from instances.models import Instance, Job
from tests.driving import Drive
from tests.factories import PERSON

pytestmark = pytest.mark.django_db

HELD = timedelta(minutes=5)


def keep(drive: Drive, instance: Instance) -> None:
    operations.keep_until(instance.pk, drive.now + timedelta(hours=1), reason="a demo", actor=PERSON, now=drive.now)


def switch_off(drive: Drive, instance: Instance) -> None:
    operations.change_settings(instance.pk, {"auto_stop_mode": "off"}, actor=PERSON, reason="", now=drive.now)


def use_it(drive: Drive, instance: Instance) -> None:
    operations.record_use(instance.pk, at=drive.now, actor=PERSON, now=drive.now)


def asked_to_stop(drive: Drive, instance: Instance) -> None:
    operations.request_stop(instance.pk, actor=AUTO_STOP, reason="auto-stop: idle", now=drive.now)


@pytest.mark.parametrize("say", [keep, switch_off, use_it])
def test_what_a_person_says_before_it_is_sent_averts_it(drive: Drive, say: Callable[[Drive, Instance], None]) -> None:
    instance = drive.ready()
    asked_to_stop(drive, instance)
    drive.clock.shift(HELD)  # nobody works meanwhile
    say(drive, instance)

    drive.until_idle(step=5)

    instance.refresh_from_db()
    assert (drive.count("stop"), Job.objects.get(verb="stop").state) == (0, "cancelled")
    assert (instance.wanted, instance.phase) == ("running", "ready")


def test_a_use_right_after_it_was_asked_for_does_not_put_a_stop_by_the_clock_off_for_ever(drive: Drive) -> None:
    instance = drive.ready()
    asked_to_stop(drive, instance)
    drive.clock.shift(timedelta(seconds=1))
    use_it(drive, instance)

    drive.until_idle(step=5)

    assert drive.count("stop") == 1


def test_it_waits_while_automation_is_paused(drive: Drive) -> None:
    instance = drive.ready()
    asked_to_stop(drive, instance)
    operations.pause_automation(until=drive.now + HELD, reason="a demo", actor=PERSON, now=drive.now)

    drive.let_pass(HELD.total_seconds() - 30, step=10)
    assert drive.count("stop") == 0
    drive.until_phase(instance, "stopped", step=5)


def test_what_a_person_asked_for_goes_out_all_the_same(drive: Drive) -> None:
    instance = drive.ready()
    keep(drive, instance)
    operations.pause_automation(until=drive.now + HELD, reason="a demo", actor=PERSON, now=drive.now)
    operations.request_stop(instance.pk, actor=PERSON, reason="enough", now=drive.now)

    drive.until_phase(instance, "stopped", step=5)
