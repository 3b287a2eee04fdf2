"""Each way Novita may fail: what the client makes of it, and what becomes of the job, the wish and the bill."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from instances import operations
from instances.models import Instance, Machine
from instances.novita.errors import (
    InvalidRequest,
    NoCapacity,
    NoMoney,
    NovitaError,
    RateLimited,
    Unavailable,
    Unknown,
)
from tests.driving import Drive, driving, event_types
from tests.factories import PERSON
from tests.processes.waiting import wait_for

# What leaves open whether a write happened; the first two members of a fault on any call.
UNCLEAR = ("500", "502", "timeout", "reset", "bad_json", "wrong_content_type")
UNREADABLE = UNCLEAR  # a read that fails so tells nothing
STEP = 15.0


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    """A Novita that is quick, so that a test is about its faults: from create to running takes about six seconds."""
    with driving(settings, speed=5) as one:
        yield one


def fault(call: str, kind: str, **more: Any) -> dict[str, Any]:
    """A time-out is longer than the client's and short enough for the simulator to stop soon."""
    return {"call": call, "kind": kind, **({"seconds": 3.0} if kind == "timeout" else {}), **more}


def wish(drive: Drive, verb: str, instance: Instance) -> None:
    getattr(operations, f"request_{verb}")(instance.pk, actor=PERSON, reason="a test", now=drive.now)


def loaded(drive: Drive) -> None:
    """Until the catalogue is read, so that a create is sent at the next step."""
    drive.until(lambda: drive.count("products"))


def raised_by(drive: Drive, instance: Instance) -> type[NovitaError]:
    """The class of the error that its newest job keeps."""
    kinds = (InvalidRequest, NoCapacity, NoMoney, RateLimited, Unavailable, Unknown)
    return {kind.code: kind for kind in kinds}[drive.job(instance).error_code]


# --- creates


@pytest.mark.parametrize("kind", UNCLEAR)
def test_a_create_with_an_unclear_answer_that_worked_is_found_and_never_asked_again(drive: Drive, kind: str) -> None:
    loaded(drive)
    drive.faults(fault("create", kind, when="after", count=1))
    instance = drive.create()
    drive.do_jobs()
    assert raised_by(drive, instance) is Unknown
    assert "job.create_unclear" in event_types(instance)

    drive.until_phase(instance, "ready", step=STEP)

    assert (drive.count("create"), len(drive.machines())) == (1, 1)
    assert instance.machine is not None
    assert instance.machine.novita_id == drive.machines()[0]["id"]


@pytest.mark.parametrize("kind", UNCLEAR)
def test_a_create_with_an_unclear_answer_that_did_nothing_is_asked_again_after_the_settle_period(
    drive: Drive, settings: Any, kind: str
) -> None:
    loaded(drive)
    drive.faults(fault("create", kind, when="before", count=1))
    instance = drive.create()
    drive.do_jobs()
    assert raised_by(drive, instance) is Unknown
    unclear_at = drive.now

    drive.until_phase(instance, "ready", step=STEP)

    first, second = drive.calls("create")
    assert second["at"] - unclear_at.timestamp() > settings.SETTLE_PERIOD.total_seconds()
    assert first["body"]["name"] != second["body"]["name"]
    assert len(drive.machines()) == 1
    assert "job.create_attempt_given_up" in event_types(instance)


def test_a_create_answered_with_429_is_asked_again_with_the_same_name(drive: Drive) -> None:
    loaded(drive)
    drive.faults(fault("create", "429", count=1))
    instance = drive.create()
    drive.do_jobs()
    assert raised_by(drive, instance) is RateLimited

    drive.until_phase(instance, "ready", step=STEP)

    first, second = drive.calls("create")
    assert first["body"]["name"] == second["body"]["name"]
    assert second["at"] - first["at"] >= 10
    assert "job.create_unclear" not in event_types(instance)
    assert len(drive.machines()) == 1


def test_a_create_is_not_asked_again_before_the_time_novita_names(drive: Drive) -> None:
    loaded(drive)
    drive.faults(fault("create", "429", count=1, retry_after=90))
    instance = drive.create()

    drive.until_phase(instance, "ready", step=STEP)

    first, second = drive.calls("create")
    assert 90 <= second["at"] - first["at"] < 120


def test_a_slow_create_is_waited_for(drive: Drive) -> None:
    loaded(drive)
    drive.faults(fault("create", "slow", seconds=0.2))
    instance = drive.create()
    drive.do_jobs()

    assert (drive.job(instance).call_outcome, drive.count("create")) == ("accepted", 1)


def test_a_create_that_works_after_the_client_gave_up_is_found(drive: Drive) -> None:
    loaded(drive)
    drive.faults(fault("create", "slow", seconds=0.8, count=1))
    instance = drive.create()
    drive.do_jobs()
    assert raised_by(drive, instance) is Unknown
    assert drive.machines() == []
    # Novita is slow by real time: it must be done before the moved clock has left the settle period behind.
    wait_for(drive.machines, seconds=10, every=0.01, what="Novita makes it after all")

    drive.until_phase(instance, "ready", step=STEP)

    assert (drive.count("create"), len(drive.machines())) == (1, 1)


def test_a_refused_offer_is_followed_by_the_next_and_its_reason_is_kept(drive: Drive) -> None:
    loaded(drive)
    drive.faults(fault("create", "no_capacity", count=1))
    instance = drive.create()
    drive.do_jobs()
    assert raised_by(drive, instance) is NoCapacity
    kept = drive.job(instance).placement or {}
    [refused] = [one for one in kept["refused"] if one["code"] == "no_capacity"]
    assert refused["reason"]

    drive.until_phase(instance, "ready", step=STEP)

    first, second = drive.calls("create")
    assert (first["body"]["productId"], first["body"]["clusterId"]) == (refused["product_id"], refused["cluster_id"])
    assert (second["body"]["productId"], second["body"]["clusterId"]) != (refused["product_id"], refused["cluster_id"])
    assert "job.create_refused" in event_types(instance)
    assert "job.create_unclear" not in event_types(instance)


def test_refused_everywhere_a_create_fails_with_every_reason_and_nothing_made(drive: Drive) -> None:
    loaded(drive)
    drive.faults(fault("create", "no_capacity"))
    instance = drive.create()

    drive.until_phase(instance, "failed", step=STEP)

    job = drive.job(instance)
    asked = {(one["body"]["productId"], one["body"]["clusterId"]) for one in drive.calls("create")}
    assert (job.state, job.error_code) == ("failed", "no_capacity")
    assert len(asked) == drive.count("create") == 6  # every cluster that sells it
    assert drive.machines() == []
    assert not Machine.objects.filter(instance=instance, given_up_at=None).exists()


def test_without_balance_a_create_fails_with_the_reason(drive: Drive) -> None:
    loaded(drive)
    drive.faults(fault("create", "no_balance"))
    instance = drive.create()
    drive.do_jobs()
    assert raised_by(drive, instance) is NoMoney

    instance.refresh_from_db()
    assert (instance.phase, drive.count("create")) == ("failed", 1)
    assert "balance" in instance.phase_reason


# --- commands


@pytest.mark.parametrize("when", ["after", "before"])
@pytest.mark.parametrize("kind", UNCLEAR)
def test_commands_with_an_unclear_answer_are_judged_by_reads(drive: Drive, kind: str, when: str) -> None:
    instance = drive.ready(ports=())

    for verb, phase in (("stop", "stopped"), ("start", "ready"), ("delete", "deleted")):
        drive.faults(fault(verb, kind, when=when, count=1))
        wish(drive, verb, instance)
        drive.do_jobs()
        assert raised_by(drive, instance) is Unknown
        assert instance.jobs.filter(verb=verb).count() == 1
        drive.until_phase(instance, phase, step=STEP)

    times = 1 if when == "after" else 2
    assert [drive.count(verb) for verb in ("stop", "start", "delete")] == [times] * 3
    assert len(drive.machines()) == 1


@pytest.mark.parametrize("kind", UNCLEAR)
def test_a_restart_is_never_repeated(drive: Drive, kind: str) -> None:
    instance = drive.ready(ports=())

    drive.faults(fault("restart", kind, when="after", count=1))
    wish(drive, "restart", instance)
    drive.until_idle(step=STEP)
    worked = drive.job(instance)
    drive.until_phase(instance, "ready", step=STEP)
    drive.faults(fault("restart", kind, when="before", count=1))
    wish(drive, "restart", instance)
    drive.until_idle(step=STEP)
    did_nothing = drive.job(instance)

    assert worked.state == "succeeded"
    assert did_nothing.pk != worked.pk
    assert drive.count("restart") == 2
    instance.refresh_from_db()
    assert instance.phase == "ready"


def test_a_command_answered_with_429_is_asked_again_in_its_time(drive: Drive) -> None:
    instance = drive.ready(ports=())
    drive.faults(fault("stop", "429", count=1, retry_after=60))
    wish(drive, "stop", instance)
    drive.do_jobs()
    assert raised_by(drive, instance) is RateLimited

    drive.until_phase(instance, "stopped", step=STEP)

    first, second = drive.calls("stop")
    assert 60 <= second["at"] - first["at"] < 90
    assert "job.stop_unclear" not in event_types(instance)


def test_a_429_without_a_time_slows_all_calls_down(drive: Drive) -> None:
    instance = drive.ready(ports=())
    drive.faults(fault("stop", "429", count=1))
    wish(drive, "stop", instance)

    drive.until_phase(instance, "stopped", step=STEP)

    first, second = drive.calls("stop")
    assert 10 <= second["at"] - first["at"] < 60


def test_a_start_without_capacity_is_kept_and_tried_until_gpus_are_free(drive: Drive) -> None:
    instance = drive.ready(ports=())
    wish(drive, "stop", instance)
    drive.until_phase(instance, "stopped", step=STEP)
    drive.faults(fault("start", "no_capacity", count=3))
    wish(drive, "start", instance)
    drive.step()
    assert raised_by(drive, instance) is NoCapacity
    instance.refresh_from_db()
    assert (instance.wanted, drive.job(instance).state) == ("running", "queued")

    drive.until_phase(instance, "ready", step=STEP)

    assert drive.count("start") == 4
    assert len(drive.machines()) == 1


def test_a_start_without_capacity_gives_up_after_15_minutes_and_the_instance_stays(drive: Drive) -> None:
    instance = drive.ready(ports=())
    wish(drive, "stop", instance)
    drive.until_phase(instance, "stopped", step=STEP)
    drive.faults(fault("start", "no_capacity"))
    wish(drive, "start", instance)
    asked_at = drive.now

    drive.until_idle(seconds=1200, step=20)

    job = drive.job(instance)
    assert (job.verb, job.state, job.error_code) == ("start", "failed", "no_capacity")
    assert drive.now - asked_at >= timedelta(minutes=15)
    assert drive.count("start") > 5
    instance.refresh_from_db()
    assert (instance.phase, instance.wanted) == ("stopped", "stopped")
    assert len(drive.living()) == 1
    assert drive.count("delete") == 0


def test_a_start_without_balance_fails_and_the_instance_stays(drive: Drive) -> None:
    instance = drive.ready(ports=())
    wish(drive, "stop", instance)
    drive.until_phase(instance, "stopped", step=STEP)
    drive.faults(fault("start", "no_balance"))
    wish(drive, "start", instance)
    drive.do_jobs()

    assert (raised_by(drive, instance), drive.job(instance).state) == (NoMoney, "failed")
    instance.refresh_from_db()
    assert (instance.phase, instance.wanted) == ("stopped", "stopped")
    assert "balance" in instance.phase_reason


@pytest.mark.parametrize(("verb", "kind"), [("stop", "never_stops"), ("delete", "never_deletes")])
def test_what_novita_takes_and_does_not_do_is_repeated_loud_and_never_called_done(
    drive: Drive, verb: str, kind: str
) -> None:
    instance = drive.ready(ports=())
    doing, done = {"stop": ("stopping", "stopped"), "delete": ("deleting", "deleted")}[verb]
    drive.faults(fault(verb, kind))

    wish(drive, verb, instance)
    drive.let_pass(200, step=10)

    instance.refresh_from_db()
    assert (instance.phase, instance.met) == (doing, False)
    assert f"instance.{done}" not in event_types(instance)
    [alarm] = drive.alarms("unconfirmed")
    assert "still billing at $0." in alarm.text
    assert drive.count(verb) in (3, 4)  # after 30 s, 60 s, 120 s
    assert instance.machine is not None
    assert instance.machine.billed_since is not None

    drive.faults()
    drive.until_phase(instance, done, step=STEP)
    assert drive.alarms("unconfirmed") == []


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_delete_is_not_done_while_reads_fail(drive: Drive, kind: str) -> None:
    instance = drive.ready(ports=())
    drive.faults(fault("get", kind), fault("list", kind))
    wish(drive, "delete", instance)

    drive.until(lambda: not drive.living(), step=STEP)
    drive.step(STEP)
    instance.refresh_from_db()
    assert instance.phase == "deleting"

    drive.faults()
    drive.until_phase(instance, "deleted", step=STEP)
