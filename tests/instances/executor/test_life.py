"""What people may wish for in a life of an instance, in every order, against Novita over a socket."""

from datetime import timedelta
from typing import Any

import pytest

from instances import operations
from instances.models import Instance
from instances.operations import (
    JobSent,
    WrongPhase,
    cancel_job,
    request_edit,
    request_migrate,
    request_save_image,
    retry_job,
)
from tests.driving import Drive, event_types
from tests.factories import PERSON

PRODUCT_4090 = ("4090.16c62g", "4090.18c60g", "4090.16c96g.v2")


def wish(drive: Drive, verb: str, instance: Instance) -> Instance:
    asked: Instance = getattr(operations, f"request_{verb}")(instance.pk, actor=PERSON, reason="a test", now=drive.now)
    return asked


def phases_of(instance: Instance) -> list[str]:
    """The phases it went through, as its events tell them."""
    told = instance.events.order_by("id").filter(after__has_key="phase")
    return [one.after["phase"] for one in told]


def jobs_of(instance: Instance) -> list[tuple[str, str]]:
    return [(one.verb, one.state) for one in instance.jobs.order_by("created_at", "id")]


def test_a_life_from_create_to_delete_is_told_by_its_events(drive: Drive) -> None:
    instance = drive.ready()
    wish(drive, "stop", instance)
    drive.until_phase(instance, "stopped")
    wish(drive, "start", instance)
    drive.until_phase(instance, "ready")
    wish(drive, "restart", instance)
    drive.until_idle()
    drive.until_phase(instance, "ready")
    wish(drive, "delete", instance)
    drive.until_phase(instance, "deleted")

    assert phases_of(instance) == [
        *("creating", "pulling", "checking", "ready"),
        *("requested", "stopping", "stopped"),
        *("requested", "starting", "checking", "ready"),
        *("requested", "restarting", "checking", "ready"),
        *("requested", "deleting", "deleted"),
    ]
    told = [name for name in event_types(instance) if name.startswith("job.")]
    assert told == [
        f"job.{verb}_{what}"
        for verb in ("create", "stop", "start", "restart", "delete")
        for what in ("requested", "sent", "succeeded")
    ]
    assert all(drive.count(verb) == 1 for verb in ("create", "stop", "start", "restart", "delete"))
    assert [one["is_gone"] for one in drive.machines()] == [True]


def test_an_edit_is_done_once_novita_shows_ports_and_disk(drive: Drive) -> None:
    instance = drive.ready()

    request_edit(
        instance.pk,
        ports=[{"port": 9000, "type": "http"}],
        expand_rootfs_gb=40,
        actor=PERSON,
        reason="",
        now=drive.now,
    )
    drive.until_idle()

    instance.refresh_from_db()
    [machine] = drive.machines()
    assert jobs_of(instance)[-1] == ("edit", "succeeded")
    assert instance.ports == [{"port": 9000, "type": "http"}]
    assert instance.machine is not None
    assert instance.machine.rootfs_size_gb == machine["rootfs_gb"] == 100
    assert machine["ports"] == [[9000, "http"]]
    assert drive.count("edit") == 1


def test_a_disk_grows_while_it_is_stopped(drive: Drive) -> None:
    instance = drive.ready()
    wish(drive, "stop", instance)
    drive.until_phase(instance, "stopped")

    request_edit(instance.pk, expand_rootfs_gb=5, actor=PERSON, reason="", now=drive.now)
    drive.until_idle()

    assert jobs_of(instance)[-1] == ("edit", "succeeded")
    assert drive.machines()[0]["rootfs_gb"] == 65


def test_an_image_is_saved_once_novitas_own_job_says_so(drive: Drive) -> None:
    instance = drive.ready()

    request_save_image(instance.pk, image="registry.example.com/team/it:1", actor=PERSON, reason="", now=drive.now)
    drive.step()
    assert drive.job(instance).state == "confirming"
    drive.until_idle()

    [at_novita] = drive.novita.look("state")["jobs"]
    assert (drive.job(instance).verb, drive.job(instance).state) == ("save_image", "succeeded")
    assert (drive.job(instance).provider_job_id, at_novita["state"]) == (at_novita["id"], "success")
    instance.refresh_from_db()
    assert (instance.phase, instance.wanted) == ("ready", "running")


def test_a_migration_keeps_the_id(drive: Drive) -> None:
    instance = drive.ready()
    assert instance.machine is not None
    before = instance.machine.novita_id

    request_migrate(instance.pk, actor=PERSON, reason="", now=drive.now)
    drive.until_phase(instance, "migrating")
    drive.until_idle()

    drive.until_phase(instance, "ready")
    assert instance.machine.novita_id == before
    assert jobs_of(instance)[-1] == ("migrate", "succeeded")
    assert drive.count("migrate") == 1


def test_a_stopped_one_that_was_moved_is_stopped_again_and_nobody_outside_is_blamed(drive: Drive, settings: Any) -> None:
    settings.SETTLE_PERIOD = timedelta(seconds=10)  # a move takes longer, and runs at its end
    instance = drive.ready()
    wish(drive, "stop", instance)
    drive.until_phase(instance, "stopped")
    drive.until_idle()

    wish(drive, "migrate", instance)
    drive.until_phase(instance, "migrating")
    drive.until_phase(instance, "stopped")
    drive.let_pass(60, step=5)

    instance.refresh_from_db()
    assert (instance.phase, instance.wanted) == ("stopped", "stopped")
    assert jobs_of(instance)[-2:] == [("migrate", "succeeded"), ("stop", "succeeded")]
    assert "instance.changed_outside" not in event_types(instance)


@pytest.mark.parametrize("verb", ["stop", "restart", "delete"])
def test_asking_twice_asks_novita_once(drive: Drive, verb: str) -> None:
    instance = drive.ready()

    wish(drive, verb, instance)
    wish(drive, verb, instance)
    drive.step()
    wish(drive, verb, instance)
    drive.until_idle()

    assert drive.count(verb) == 1
    assert instance.jobs.filter(verb=verb).count() == 1


@pytest.mark.parametrize(("verb", "phase"), [("start", "ready"), ("stop", "stopped"), ("delete", "deleted")])
def test_asked_for_what_already_is_opens_no_job(drive: Drive, verb: str, phase: str) -> None:
    instance = drive.ready()
    if verb != "start":
        wish(drive, verb, instance)
    drive.until_phase(instance, phase)
    drive.forget_calls()
    before = jobs_of(instance)

    wish(drive, verb, instance)
    drive.let_pass(20)

    assert jobs_of(instance) == before
    assert drive.count(verb) == 0
    instance.refresh_from_db()
    assert instance.phase == phase


def test_what_was_deleted_elsewhere_meets_a_wish_to_delete_it(drive: Drive) -> None:
    instance = drive.ready()
    [machine] = drive.machines()
    drive.novita.command("delete", machine["id"])
    drive.clock.shift(120)  # gone, and no longer read by id

    wish(drive, "delete", instance)
    drive.until_phase(instance, "deleted")

    assert jobs_of(instance)[-1] == ("delete", "succeeded")
    assert drive.alarms("unconfirmed") == []


def test_a_stop_while_it_is_pulled_waits_and_stops_it_at_running(drive: Drive) -> None:
    instance = drive.create()
    drive.until_phase(instance, "pulling")

    wish(drive, "stop", instance)
    drive.let_pass(8)
    instance.refresh_from_db()
    assert (drive.count("stop"), drive.count("delete")) == (0, 0)
    assert "waits" in (instance.next_job_action or {})["why"]

    drive.until_phase(instance, "stopped")
    assert (drive.count("stop"), drive.count("delete")) == (1, 0)
    assert jobs_of(instance) == [("create", "superseded"), ("stop", "succeeded")]


def test_a_stop_before_the_create_was_sent_creates_nothing(drive: Drive) -> None:
    instance = drive.create()

    wish(drive, "stop", instance)
    drive.let_pass(10)

    instance.refresh_from_db()
    assert (drive.count("create"), instance.phase) == (0, "failed")
    assert jobs_of(instance) == [("create", "superseded")]


def test_a_delete_before_the_create_was_sent_creates_nothing(drive: Drive) -> None:
    instance = drive.create()

    wish(drive, "delete", instance)
    drive.let_pass(10)

    instance.refresh_from_db()
    assert (drive.count("create"), instance.phase) == (0, "deleted")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delete_while_the_create_is_unanswered_settles_first(drive: Drive, when: str) -> None:
    drive.until(lambda: drive.count("products"))
    drive.faults({"call": "create", "kind": "reset", "when": when, "count": 1})
    instance = drive.create()
    drive.do_jobs()
    assert drive.job(instance).call_outcome == "unclear"

    wish(drive, "delete", instance)
    assert drive.count("delete") == 0
    drive.until_phase(instance, "deleted")

    assert drive.living() == []
    assert drive.count("create") == 1
    assert drive.count("delete") == len(drive.machines()) == (1 if when == "after" else 0)


def test_a_start_while_it_stops_waits_and_starts_it_at_exited(drive: Drive) -> None:
    instance = drive.ready()
    wish(drive, "stop", instance)
    drive.until_phase(instance, "stopping")

    wish(drive, "start", instance)
    drive.until_phase(instance, "ready")

    assert (drive.count("stop"), drive.count("start")) == (1, 1)
    assert jobs_of(instance)[1:] == [("stop", "superseded"), ("start", "succeeded")]
    assert drive.machines()[0]["status"] == "running"


def test_stop_then_start_at_once_asks_for_neither_or_both(drive: Drive) -> None:
    instance = drive.ready()

    wish(drive, "stop", instance)
    wish(drive, "start", instance)
    drive.let_pass(90)

    instance.refresh_from_db()
    assert (instance.phase, instance.wanted, instance.met) == ("ready", "running", True)
    assert drive.count("stop") == drive.count("start")
    assert drive.machines()[0]["status"] == "running"


def test_a_stop_whose_answer_was_lost_and_a_start_after_it_end_running(drive: Drive) -> None:
    instance = drive.ready()
    drive.faults({"call": "stop", "kind": "reset", "when": "after", "count": 1})

    wish(drive, "stop", instance)
    drive.do_jobs()
    wish(drive, "start", instance)
    drive.let_pass(120)

    instance.refresh_from_db()
    assert (instance.phase, instance.wanted, instance.met) == ("ready", "running", True)
    assert drive.machines()[0]["status"] == "running"


def test_a_delete_supersedes_a_restart(drive: Drive) -> None:
    instance = drive.ready()
    wish(drive, "restart", instance)
    drive.step()

    wish(drive, "delete", instance)
    drive.until_phase(instance, "deleted")

    assert jobs_of(instance)[1:] == [("restart", "superseded"), ("delete", "succeeded")]


def test_a_job_is_cancelled_before_it_is_sent_and_never_after(drive: Drive) -> None:
    instance = drive.ready()

    wish(drive, "stop", instance)
    cancel_job(drive.job(instance).pk, actor=PERSON, reason="changed my mind", now=drive.now)
    drive.let_pass(10)
    instance.refresh_from_db()
    assert (instance.phase, instance.wanted, drive.count("stop")) == ("ready", "running", 0)

    wish(drive, "stop", instance)
    drive.step()
    with pytest.raises(JobSent):
        cancel_job(drive.job(instance).pk, actor=PERSON, reason="too late", now=drive.now)


def test_a_create_cancelled_before_it_is_sent_ends_and_frees_its_name(drive: Drive) -> None:
    instance = drive.create()

    cancel_job(drive.job(instance).pk, actor=PERSON, reason="", now=drive.now)
    instance.refresh_from_db()

    assert (instance.phase, instance.wanted) == ("failed", "")
    drive.ready()
    assert drive.count("create") == 1


def test_a_create_that_failed_is_tried_again_by_a_person(drive: Drive) -> None:
    drive.faults({"call": "create", "kind": "no_balance", "count": 1})
    instance = drive.create()
    drive.until_phase(instance, "failed")

    retry_job(drive.job(instance).pk, actor=PERSON, reason="topped up", now=drive.now)
    drive.until_phase(instance, "ready")

    assert jobs_of(instance) == [("create", "failed"), ("create", "succeeded")]
    assert len(drive.machines()) == 1
    with pytest.raises(WrongPhase):
        retry_job(drive.job(instance).pk, actor=PERSON, reason="", now=drive.now)
