"""A key that Novita refuses holds all writes, says so at once, and ends by itself with the first read that works.

Where it refuses writes alone, of one thing or of all, what it refuses waits ever longer or fails, and nothing else is held.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from instances import operations, provider
from instances.executor.run import carry_out
from instances.models import Event, Instance, Job, ProviderAccount
from instances.novita.errors import AuthFailed
from sync import watch
from sync.listing import run_list
from tests.driving import Drive, driving
from tests.factories import PERSON

STEP = 5.0


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, speed=5) as one:
        yield one


def refuse(drive: Drive, *calls: str) -> None:
    drive.faults(*({"call": call, "kind": "401"} for call in calls))


def refused_since() -> object:
    return ProviderAccount.objects.get().key_refused_since


def told() -> list[str]:
    """What was told of alarms about the key, oldest first."""
    events = Event.objects.filter(type__startswith="alarm.", after__kind="provider_key_refused").order_by("id")
    return list(events.values_list("type", flat=True))


def stop(drive: Drive, instance: Instance) -> None:
    operations.request_stop(instance.pk, actor=PERSON, reason="", now=drive.now)


def taken_again(drive: Drive, instance: Instance, phase: str) -> None:
    """Novita takes every call: the instance comes to that phase, and the one alarm ends."""
    drive.faults()
    drive.until_phase(instance, phase, seconds=900, step=STEP)
    drive.let_pass(60, step=STEP)
    assert told() == ["alarm.opened", "alarm.cleared"]


def test_a_read_that_is_refused_holds_every_write(drive: Drive) -> None:
    first, second = drive.ready("one", ports=()), drive.ready("two", ports=())
    refuse(drive, "list")
    with pytest.raises(AuthFailed):
        run_list(provider.novita(), trigger="poll")
    assert refused_since() is not None
    assert "refuses the API key" in drive.alarms("provider_key_refused")[0].text
    drive.forget_calls()

    for instance in (first, second):
        stop(drive, instance)
        carry_out(drive.job(instance).pk)

    assert drive.count("stop") == 0
    assert {job.error_code for job in Job.objects.filter(verb="stop")} == {"auth_failed"}
    assert drive.job(first).state == "queued"

    drive.faults()
    run_list(provider.novita(), trigger="poll")
    assert (refused_since(), drive.alarms("provider_key_refused")) == (None, [])
    assert not Job.objects.filter(verb="stop", next_attempt_at__gt=timezone.now()).exists()
    drive.until_phase(first, "stopped", step=STEP)
    drive.until_phase(second, "stopped", step=STEP)


def test_a_write_that_is_refused_holds_the_others_and_reads_go_on(drive: Drive) -> None:
    first, second = drive.ready("one", ports=()), drive.ready("two", ports=())
    refuse(drive, "stop")
    drive.forget_calls()

    stop(drive, first)
    carry_out(drive.job(first).pk)
    stop(drive, second)
    carry_out(drive.job(second).pk)

    assert drive.count("stop") == 1
    assert refused_since() is not None
    drive.clock.shift(60)
    assert watch.poll_if_due(drive.now)


def test_a_refused_balance_says_so_too(drive: Drive) -> None:
    watch.poll_if_due(drive.now)
    refuse(drive, "balance")

    assert not watch.read_balance_if_due(drive.now)

    assert len(drive.alarms("provider_key_refused")) == 1


def test_a_key_that_may_not_create_fails_the_create_and_holds_nothing_else(drive: Drive) -> None:
    others = [drive.ready(name, ports=()) for name in ("one", "two", "three")]
    refuse(drive, "create")
    drive.forget_calls()

    made = drive.create()
    drive.until(lambda: drive.count("create") == 2, step=1)
    held: list[float] = []
    for other in others:
        stop(drive, other)
        asked_at = drive.now
        drive.until_phase(other, "stopping", "stopped", step=1)
        held.append((drive.now - asked_at).total_seconds())
        calls = drive.count("create")
        drive.until(lambda calls=calls: drive.count("create") > calls, seconds=900, step=5)  # type: ignore[misc]
    drive.until_phase(made, "failed", seconds=1800, step=5)

    job = drive.job(made)
    assert (job.error_code, job.attempts, drive.count("create")) == ("auth_failed", 5, 5)
    assert "Novita refused it 5 times and took the API key for reads: " in job.error_detail
    assert max(held) <= 3
    assert told() == ["alarm.opened"]
    assert len(drive.machines("worker")) == 0


def test_the_alarm_ends_once_a_write_is_taken(drive: Drive) -> None:
    refuse(drive, "create")
    drive.until_phase(drive.create("first"), "failed", seconds=1800, step=STEP)
    drive.let_pass(1800, step=30)
    second = drive.create("second")
    drive.until(lambda: drive.count("create") == 6, step=1)
    assert (refused_since(), told()) == (None, ["alarm.opened"])

    taken_again(drive, second, "ready")


def test_what_alone_is_forbidden_is_asked_for_ever_more_slowly_while_others_go_on(drive: Drive) -> None:
    first, second = drive.ready("one", ports=()), drive.ready("two", ports=())
    assert first.machine is not None
    drive.faults({"call": "stop", "kind": "401", "instance": first.machine.novita_id})
    drive.forget_calls()

    stop(drive, first)
    drive.until(lambda: drive.count("stop") == 2, step=1)
    for verb in ("stop", "start", "stop"):
        getattr(operations, f"request_{verb}")(second.pk, actor=PERSON, reason="", now=drive.now)
        drive.until_phase(second, "stopped" if verb == "stop" else "ready", step=STEP)
    drive.let_pass(3600, step=20)

    calls = [one for one in drive.calls("stop") if one["body"]["instanceId"] == first.machine.novita_id]
    assert len(calls) in (9, 10, 11)  # at once, after a read, then 2, 4, 8 and each 10 minutes
    job = drive.job(first)
    assert (job.state, job.error_code, told()) == ("queued", "auth_failed", ["alarm.opened"])
    assert "the stop of one" in drive.alarms("provider_key_refused")[0].text

    taken_again(drive, first, "stopped")


def test_a_key_that_reads_refuse_too_holds_all_until_one_works(drive: Drive) -> None:
    first, second = drive.ready("one", ports=()), drive.ready("two", ports=())
    refuse(drive, "stop", "list")
    drive.forget_calls()

    stop(drive, first)
    drive.let_pass(10, step=1)
    stop(drive, second)
    drive.let_pass(600, step=20)
    assert drive.count("stop") == 1
    assert refused_since() is not None

    drive.faults()
    run_list(provider.novita(), trigger="poll")
    assert (refused_since(), drive.alarms("provider_key_refused")) == (None, [])
    drive.until_phase(first, "stopped", step=STEP)
    drive.until_phase(second, "stopped", step=STEP)
    assert told() == ["alarm.opened", "alarm.escalated", "alarm.cleared"]


def test_a_key_that_is_refused_altogether_later_is_told_anew(drive: Drive) -> None:
    refuse(drive, "create")
    drive.until_phase(drive.create(), "failed", seconds=1800, step=STEP)

    refuse(drive, "create", "list")
    with pytest.raises(AuthFailed):
        run_list(provider.novita(), trigger="poll")

    assert refused_since() is not None
    assert told() == ["alarm.opened", "alarm.escalated"]
    drive.faults()
    run_list(provider.novita(), trigger="poll")
    assert (refused_since(), told()[-1]) == (None, "alarm.cleared")
