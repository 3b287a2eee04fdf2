"""The phase as it is stored: an event on change only, the end of a life, the stages of starting up, what comes next."""

from datetime import timedelta
from typing import Any

import pytest

from instances.events import SYSTEM
from instances.lifecycle import Observed, observed_of
from instances.models import Event, Instance
from instances.phases import current_job, facts_of, mark_stage_overdue, refresh_phase
from tests.factories import NOW, PERSON, make_instance, make_job

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(minutes=1)


def show(instance: Instance, status: str, *, at: Any = LATER, **columns: Any) -> bool:
    """What `observation` does around a refresh, without its consequences."""
    machine = instance.machine
    assert machine is not None
    changed = {"status": status, **columns}
    for name, value in changed.items():
        setattr(machine, name, value)
    machine.save(update_fields=list(changed))
    return refresh_phase(instance, now=at)


def stored(instance: Instance) -> Instance:
    return Instance.objects.get(pk=instance.pk)


def phase_events(instance: Instance) -> list[tuple[str, Any, Any]]:
    events = Event.objects.filter(instance=instance, after__has_key="phase").order_by("id")
    return [(event.type, event.before["phase"], event.after["phase"]) for event in events]


def test_a_change_is_one_event_and_no_change_is_none() -> None:
    instance = make_instance(status="pulling")
    before = phase_events(instance)

    assert show(instance, "starting")
    assert not show(instance, "starting", at=LATER + timedelta(minutes=1))

    assert phase_events(instance)[len(before) :] == [("instance.starting", "pulling", "starting")]
    instance.refresh_from_db()
    assert (instance.phase, instance.phase_since) == ("starting", LATER)


def test_the_event_tells_who_why_and_when() -> None:
    instance = make_instance(status="exited")
    job = make_job(instance, verb="delete", state="sent", called_at=NOW)
    Instance.objects.filter(pk=instance.pk).update(phase="stopped")
    instance.refresh_from_db()

    refresh_phase(instance, now=LATER, actor=PERSON, reason="no longer needed")

    event = Event.objects.filter(instance=instance, type="instance.deleting").latest("id")
    assert (event.at, event.actor_kind, event.actor_name, event.reason) == (LATER, "user", "alice", "no longer needed")
    assert event.job_id == job.pk


def test_without_a_reason_of_its_own_the_event_has_that_of_the_phase() -> None:
    instance = make_instance(status="pulling")

    show(instance, "exited")

    event = Event.objects.filter(instance=instance, type="instance.stopped").latest("id")
    assert (event.reason, event.actor_name) == ("Novita shows it stopped", SYSTEM.name)


def test_a_new_reason_for_the_same_phase_is_stored_without_an_event() -> None:
    instance = make_instance(status="running")
    before = Event.objects.count()
    instance.health_detail = "port 8080 answers"

    assert not refresh_phase(instance, now=LATER)

    instance.refresh_from_db()
    assert (instance.phase_reason, instance.phase_since) == ("port 8080 answers", NOW)
    assert Event.objects.count() == before


def test_well_again_after_unhealthy_is_a_recovery() -> None:
    instance = make_instance(health_state="failing")
    assert instance.phase == "unhealthy"
    instance.health_state = "ok"

    refresh_phase(instance, now=LATER)

    assert phase_events(instance)[-1] == ("instance.recovered", "unhealthy", "ready")


@pytest.mark.parametrize(("wanted", "phase"), [("deleted", "deleted"), ("running", "gone"), ("stopped", "gone")])
def test_a_machine_proven_absent_ends_its_instance(wanted: str, phase: str) -> None:
    instance = make_instance(wanted=wanted)
    assert instance.ended_at is None

    show(instance, "running", absent_at=LATER)

    ended = stored(instance)
    assert (ended.phase, ended.ended_at, ended.has_ended) == (phase, LATER, True)
    refresh_phase(instance, now=LATER + timedelta(hours=1))
    assert stored(instance).ended_at == LATER


def test_a_machine_that_comes_back_ends_the_end() -> None:
    instance = make_instance(status="removed", wanted="deleted", machine={"absent_at": NOW})
    assert instance.ended_at == NOW

    show(instance, "running", absent_at=None)

    back = stored(instance)
    assert (back.ended_at, back.phase) == (None, "ready")


def test_a_create_given_up_frees_its_name_and_a_failure_with_a_machine_does_not() -> None:
    given_up = make_instance(status="", given_up=True, wanted="", wanted_at=None, failure="no offer fits")
    late = make_instance(status="pulling", met_at=None, overdue="pulling takes too long")
    late.overdue = "pulling takes too long"
    refresh_phase(late, now=NOW)

    assert (given_up.phase, given_up.phase_reason, given_up.ended_at) == ("failed", "no offer fits", NOW)
    assert (late.phase, late.ended_at) == ("failed", None)


STAGES = {
    Observed.CREATING: "creating",
    Observed.PULLING: "pulling",
    Observed.STARTING: "starting",
    Observed.RUNNING: "starting",
}


def test_a_stage_of_starting_up_runs_only_for_what_should_come_to_run() -> None:
    words = ["creating", "pulling", "toStart", "running", "toStop", "exited", "restarting", "migrating", "hibernating"]
    for wanted in ("running", "stopped", "deleted", ""):
        for managed in (True, False) if not wanted else (True,):
            for word in words:
                instance = make_instance(
                    status=word, wanted=wanted, wanted_at=NOW if wanted else None, managed=managed, ready_at=None
                )

                should_run = managed and wanted not in ("stopped", "deleted")
                expected = STAGES.get(observed_of(word), "") if should_run else ""
                assert instance.boot_stage == expected, (wanted, managed, word)
                assert (instance.boot_stage_since is None) == (not expected), (wanted, managed, word)


def test_each_stage_has_a_clock_of_its_own_and_being_well_ends_it() -> None:
    instance = make_instance(status="pulling", ready_at=None)
    assert (instance.boot_stage, instance.boot_stage_since) == ("pulling", NOW)

    show(instance, "pulling")
    assert instance.boot_stage_since == NOW
    show(instance, "starting")
    assert (instance.boot_stage, instance.boot_stage_since) == ("starting", LATER)
    instance.health_state = "checking"
    show(instance, "running", at=LATER + timedelta(minutes=5), running_since=LATER)
    assert (instance.boot_stage, instance.boot_stage_since, instance.phase) == ("starting", LATER, "checking")
    instance.ready_at, instance.health_state = LATER, "ok"
    refresh_phase(instance, now=LATER + timedelta(minutes=6))

    well = stored(instance)
    assert (well.boot_stage, well.boot_stage_since) == ("", None)


def test_a_deadline_that_passed_is_told_and_taken_back_when_the_stage_is_left() -> None:
    instance = make_instance(status="pulling", met_at=None, ready_at=None)

    assert mark_stage_overdue(instance, "it has been pulling for longer than 30 min", now=LATER)

    instance.refresh_from_db()
    assert (instance.phase, instance.overdue) == ("failed", "it has been pulling for longer than 30 min")
    assert "still billed at $0.35 per hour" in instance.phase_reason
    assert not mark_stage_overdue(instance, "it has been pulling for longer than 30 min", now=LATER)
    show(instance, "starting")
    instance.refresh_from_db()
    assert (instance.phase, instance.overdue) == ("starting", "")


def test_a_stop_ends_the_deadline_of_starting_up() -> None:
    instance = make_instance(status="pulling", met_at=None, ready_at=None)
    mark_stage_overdue(instance, "too long", now=LATER)

    make_job(instance, verb="stop")

    instance.refresh_from_db()
    assert (instance.boot_stage, instance.overdue, instance.phase) == ("", "", "requested")


def test_what_comes_next_is_the_open_jobs_and_ends_with_it() -> None:
    instance = make_instance()
    job = make_job(instance, verb="stop", next_attempt_at=LATER)
    assert instance.next_job_action == {"what": "stop", "at": LATER.isoformat(), "why": "stop is next in line"}

    job.state, job.called_at = "confirming", NOW
    job.save()
    refresh_phase(instance, now=LATER)
    assert instance.next_job_action["why"] == "stop waits for Novita to show it"

    job.state, job.called_at, job.error_detail = "queued", None, "waits for capacity"
    job.save()
    refresh_phase(instance, now=LATER)
    assert instance.next_job_action["why"] == "stop waits for capacity"

    job.state, job.finished_at = "succeeded", LATER
    job.save()
    refresh_phase(instance, now=LATER)
    instance.refresh_from_db()
    assert instance.next_job_action is None


def test_the_job_is_read_from_the_database_whatever_was_fetched_before() -> None:
    make_job(make_instance(), verb="stop")
    instance = Instance.objects.for_display().get()
    assert instance.open_job is not None
    job = current_job(instance)
    assert job is not None
    job.state, job.finished_at = "succeeded", NOW
    job.save()

    assert current_job(instance) is None
    assert instance.open_job is not None


def test_a_job_that_was_called_is_told_apart_from_one_that_was_not() -> None:
    instance = make_instance()
    job = make_job(instance, verb="stop")
    assert (facts_of(instance, job).verb, facts_of(instance, job).called) == ("stop", False)
    assert instance.phase == "requested"

    job.state, job.called_at = "sent", NOW
    job.save()
    refresh_phase(instance, now=LATER)

    assert facts_of(instance, job).called
    assert instance.phase == "stopping"


def test_an_announced_reclaim_is_told_and_keeps_the_phase() -> None:
    for word in ("notified", "NOTIFIED", "reclaiming"):
        instance = make_instance(machine={"spot_status": word, "reclaim_at": LATER})
        assert instance.phase == "ready"
        assert "takes this spot instance back" in instance.phase_reason, word


def test_only_columns_of_the_phase_are_written() -> None:
    instance = make_instance()
    Instance.objects.filter(pk=instance.pk).update(owner="maya", last_used_at=LATER)

    show(instance, "exited")

    instance.refresh_from_db()
    assert (instance.owner, instance.last_used_at, instance.phase) == ("maya", LATER, "stopped")
