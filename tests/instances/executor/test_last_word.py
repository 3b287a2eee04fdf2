"""Start and stop clicked to and fro while Novita is slow: the last word holds, whatever an earlier call does late."""

from datetime import timedelta
from typing import Any

import pytest

from instances.models import Instance
from instances.operations import cancel_job, request_start, request_stop
from tests.driving import Drive, event_types
from tests.factories import NOW, PERSON, make_instance, make_job

SLOW = {"starting": 100, "stopping": 100}


def click(drive: Drive, instance: Instance, *verbs: Any) -> Instance:
    for verb in verbs:
        verb(instance.pk, actor=PERSON, reason="", now=drive.now)
    instance.refresh_from_db()
    return instance


def stopped(drive: Drive) -> Instance:
    instance = click(drive, drive.ready(ports=()), request_stop)
    drive.until_phase(instance, "stopped")
    drive.let_pass(120, step=30)
    return instance


def running(drive: Drive) -> Instance:
    instance = drive.ready(ports=())
    drive.let_pass(120, step=30)
    return instance


def sent(drive: Drive, instance: Instance, verb: Any) -> None:
    """Novita takes it, and is slow to do it."""
    drive.novita.turn("speed", timings=SLOW)
    click(drive, instance, verb)
    drive.do_jobs()
    assert drive.job(instance).call_outcome == "accepted"


@pytest.mark.parametrize(
    ("begin", "late", "last", "wanted", "phase", "status"),
    [
        (stopped, request_start, request_stop, "stopped", "stopped", "exited"),
        (running, request_stop, request_start, "running", "ready", "running"),
    ],
)
def test_the_last_word_holds_against_an_earlier_one_that_takes_effect_late(
    drive: Drive, begin: Any, late: Any, last: Any, wanted: str, phase: str, status: str
) -> None:
    instance = begin(drive)
    sent(drive, instance, late)

    click(drive, instance, last, late, last)
    assert (instance.wanted, instance.met) == (wanted, False)
    drive.let_pass(600, step=15)

    instance.refresh_from_db()
    assert (instance.wanted, instance.phase, instance.met) == (wanted, phase, True)
    assert "instance.changed_outside" not in event_types(instance)
    assert drive.machines()[0]["status"] == status


def test_a_start_cancelled_before_it_was_sent_is_no_proof_that_an_earlier_one_came_to_nothing(drive: Drive) -> None:
    instance = stopped(drive)
    sent(drive, instance, request_start)
    click(drive, instance, request_stop, request_start)

    cancel_job(drive.job(instance).pk, actor=PERSON, reason="", now=drive.now)
    instance.refresh_from_db()
    assert (instance.wanted, instance.met) == ("stopped", False)
    drive.let_pass(600, step=15)

    instance.refresh_from_db()
    assert (instance.wanted, instance.phase, instance.met) == ("stopped", "stopped", True)
    assert drive.machines()[0]["status"] == "exited"


def test_an_edit_in_between_settles_nothing_about_the_start_before_it(db: None) -> None:
    instance = make_instance(status="exited", wanted="stopped")
    for verb, state, minutes in (("start", "superseded", 0), ("edit", "succeeded", 1)):
        called_at = NOW + timedelta(minutes=minutes)
        make_job(instance, verb=verb, state=state, called_at=called_at, call_outcome="accepted", finished_at=called_at)

    for request in (request_start, request_stop):
        request(instance.pk, actor=PERSON, reason="", now=NOW + timedelta(minutes=2))

    instance.refresh_from_db()
    assert (instance.wanted, instance.met) == ("stopped", False)


@pytest.mark.parametrize("clicks", [1, 2])
def test_where_no_call_is_under_way_what_is_observed_meets_the_wish_at_once(drive: Drive, clicks: int) -> None:
    instance = stopped(drive)

    click(drive, instance, *[request_start, request_stop] * clicks)

    assert (instance.wanted, instance.met, drive.count("start")) == ("stopped", True, 0)
