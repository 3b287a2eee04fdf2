"""The verbs people and rules may ask: what they write, what they refuse, and that asking twice is one job."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from instances.events import Actor, current_request_id
from instances.lifecycle import JobState, Verb
from instances.models import AutomationPause, Event, Instance, Job
from instances.operations import (
    LONGEST_PAUSE,
    InstanceSpec,
    JobOpen,
    JobSent,
    NameTaken,
    OperationRefused,
    Protected,
    TooLong,
    Unmanaged,
    WrongPhase,
    cancel_job,
    change_settings,
    hold_reason,
    pause_automation,
    record_use,
    request_create,
    request_delete,
    request_edit,
    request_migrate,
    request_restart,
    request_revival,
    request_save_image,
    request_start,
    request_stop,
    resume_automation,
    retry_job,
)
from tests.factories import NOW, PERSON, make_account, make_instance, make_job, make_reclaim

pytestmark = pytest.mark.django_db
RULE = Actor(kind="rule", name="auto-stop")
LATER = NOW + timedelta(minutes=1)


def ask(operation: Any, instance: Instance, *, actor: Actor = PERSON, **more: Any) -> Instance:
    result: Instance = operation(instance.pk, actor=actor, reason="because", now=NOW, **more)
    return result


def types(instance: Instance) -> list[str]:
    return list(Event.objects.filter(instance=instance).order_by("id").values_list("type", flat=True))


def spec(name: str = "worker", **columns: Any) -> InstanceSpec:
    return InstanceSpec(name=name, product_name="RTX 4090", image_url="busybox:1", **columns)


def test_a_create_writes_wish_job_and_events_together() -> None:
    token = current_request_id.set("request-7")
    instance = request_create(spec(), actor=PERSON, reason="to train", now=NOW)
    current_request_id.reset(token)

    job = Job.objects.get()
    assert (instance.wanted, instance.met_at, instance.phase) == ("running", None, "requested")
    assert (job.verb, job.state, job.requested_by_name, job.reason) == ("create", "queued", "alice", "to train")
    assert types(instance) == ["instance.requested", "job.create_requested"]
    assert set(Event.objects.values_list("request_id", "actor_kind", "actor_name")) == {("request-7", "user", "alice")}


@pytest.mark.parametrize(("mode", "local_data"), [("spot", "disposable"), ("on_demand", "precious")])
def test_local_data_follows_the_billing_mode_unless_said(mode: str, local_data: str) -> None:
    assert request_create(spec(billing_mode=mode), actor=PERSON, reason="", now=NOW).local_data == local_data
    said = request_create(spec("other", billing_mode=mode, local_data="precious"), actor=PERSON, reason="", now=NOW)
    assert said.local_data == "precious"


def test_a_live_managed_name_is_taken_whatever_its_case() -> None:
    request_create(spec("Worker"), actor=PERSON, reason="", now=NOW)

    with pytest.raises(NameTaken) as refused:
        request_create(spec("wORKER"), actor=PERSON, reason="", now=NOW)

    assert refused.value.field == "name"
    assert Instance.objects.count() == Job.objects.count() == 1


def test_an_ended_instance_frees_its_name() -> None:
    make_instance(name="worker", status="removed", wanted="deleted", machine={"absent_at": NOW})

    assert request_create(spec("worker"), actor=PERSON, reason="", now=NOW).phase == "requested"


def test_the_database_itself_allows_one_open_job() -> None:
    instance = make_instance()
    make_job(instance, verb="stop")

    with pytest.raises(IntegrityError), transaction.atomic():
        make_job(instance, verb="restart")


@pytest.mark.parametrize(
    ("operation", "status", "verb"),
    [(request_stop, "running", "stop"), (request_start, "exited", "start"), (request_delete, "running", "delete")],
)
def test_a_wish_asked_twice_is_one_job(operation: Any, status: str, verb: str) -> None:
    instance = make_instance(status=status)

    ask(operation, instance)
    before = types(instance)
    ask(operation, instance)

    assert [(job.verb, job.state) for job in Job.objects.all()] == [(verb, "queued")]
    assert types(instance) == before


@pytest.mark.parametrize(("operation", "status"), [(request_start, "running"), (request_stop, "exited")])
def test_what_already_is_needs_no_job(operation: Any, status: str) -> None:
    instance = make_instance(status=status)

    ask(operation, instance)

    assert not Job.objects.exists()


def test_deleting_what_is_deleted_changes_nothing() -> None:
    instance = make_instance(status="removed", wanted="deleted", machine={"absent_at": NOW})

    assert ask(request_delete, instance).phase == "deleted"
    assert not Job.objects.exists()


@pytest.mark.parametrize("operation", [request_start, request_stop, request_delete, request_restart, request_migrate])
def test_what_was_not_made_here_is_left_alone(operation: Any) -> None:
    with pytest.raises(Unmanaged):
        ask(operation, make_instance(managed=False))


@pytest.mark.parametrize("operation", [request_start, request_stop, request_restart, request_migrate])
def test_what_has_ended_can_be_asked_nothing(operation: Any) -> None:
    with pytest.raises(WrongPhase):
        ask(operation, make_instance(status="removed", wanted="deleted", machine={"absent_at": NOW}))


def test_a_protected_one_is_stopped_by_people_only_and_deleted_by_nobody() -> None:
    instance = make_instance(protected=True)

    with pytest.raises(Protected):
        ask(request_stop, instance, actor=RULE)
    with pytest.raises(Protected):
        ask(request_delete, instance)
    assert ask(request_stop, instance).wanted == "stopped"


def test_a_new_wish_ends_a_job_that_was_not_sent() -> None:
    instance = make_instance()
    stop = make_job(instance, verb="stop")

    ask(request_delete, instance)

    stop.refresh_from_db()
    assert stop.state == JobState.SUPERSEDED
    assert Job.objects.get(state="queued").verb == "delete"


@pytest.mark.parametrize(("state", "outcome"), [("sent", ""), ("confirming", "unclear")])
def test_a_new_wish_waits_for_a_job_that_must_settle(state: str, outcome: str) -> None:
    instance = make_instance()
    stop = make_job(instance, verb="stop", state=state, called_at=NOW, call_outcome=outcome)

    ask(request_start, instance)

    stop.refresh_from_db()
    instance.refresh_from_db()
    assert (stop.is_open, stop.yields) == (True, True)
    assert (instance.wanted, instance.met_at) == ("running", None)
    assert Job.objects.count() == 1


def test_a_start_after_an_accepted_stop_is_not_met_by_what_is_still_running() -> None:
    instance = make_instance()
    make_job(instance, verb="stop", state="confirming", called_at=NOW, call_ended_at=NOW, call_outcome="accepted")

    ask(request_start, instance)

    instance.refresh_from_db()
    assert (instance.wanted, instance.met_at) == ("running", None)


def test_a_delete_before_anything_was_created_creates_nothing() -> None:
    instance = request_create(spec(), actor=PERSON, reason="", now=NOW)

    ask(request_delete, instance)

    instance.refresh_from_db()
    assert (instance.phase, instance.wanted) == ("deleted", "deleted")
    assert instance.ended_at is not None
    assert [job.state for job in Job.objects.all()] == ["superseded"]


def test_a_stop_before_anything_was_created_gives_the_create_up() -> None:
    instance = request_create(spec(), actor=PERSON, reason="", now=NOW)

    ask(request_stop, instance)

    instance.refresh_from_db()
    assert (instance.phase, instance.wanted, instance.given_up) == ("failed", "", True)
    assert [job.state for job in Job.objects.all()] == ["superseded"]


def test_a_stop_supersedes_an_errand() -> None:
    instance = make_instance()
    ask(request_restart, instance)

    ask(request_stop, instance)

    assert {(job.verb, job.state) for job in Job.objects.all()} == {("restart", "superseded"), ("stop", "queued")}


@pytest.mark.parametrize(
    ("operation", "status", "more"),
    [
        (request_restart, "exited", {}),
        (request_edit, "pulling", {"expand_rootfs_gb": 5}),
        (request_migrate, "creating", {}),
        (request_save_image, "starting", {"image": "a/b:c"}),
    ],
)
def test_an_errand_in_the_wrong_state_is_refused(operation: Any, status: str, more: dict[str, Any]) -> None:
    with pytest.raises(WrongPhase):
        ask(operation, make_instance(status=status), **more)


def test_a_machine_that_is_being_reclaimed_is_not_migrated() -> None:
    with pytest.raises(WrongPhase):
        ask(request_migrate, make_instance(machine={"spot_status": "notified"}))


def test_cancelling_before_the_call_ends_the_wish() -> None:
    instance = make_instance()
    job = make_job(instance, verb="stop")

    cancel_job(job.pk, actor=PERSON, reason="changed my mind", now=LATER)
    cancel_job(job.pk, actor=PERSON, reason="again", now=LATER)

    instance.refresh_from_db()
    job.refresh_from_db()
    assert (job.state, instance.wanted, instance.met) == ("cancelled", "running", True)
    assert "instance.wish_ended" in types(instance)


def test_cancelling_after_the_call_is_refused() -> None:
    job = make_job(make_instance(), verb="stop", state="confirming", called_at=NOW)

    with pytest.raises(JobSent):
        cancel_job(job.pk, actor=PERSON, reason="", now=NOW)


def test_a_failed_create_can_be_tried_again_under_its_name() -> None:
    instance = make_instance(status="", given_up=True, wanted="", wanted_at=None, ended_at=NOW, name="worker")
    failed = make_job_without_wish(instance, "create")

    job = retry_job(failed.pk, actor=PERSON, reason="stock is back", now=LATER)

    instance.refresh_from_db()
    assert (job.verb, job.state) == ("create", "queued")
    assert (instance.wanted, instance.given_up, instance.ended_at, instance.phase) == ("running", False, None, "requested")


def test_a_retry_whose_name_was_taken_meanwhile_is_refused() -> None:
    instance = make_instance(status="", given_up=True, wanted="", wanted_at=None, ended_at=NOW, name="worker")
    failed = make_job_without_wish(instance, "create")
    make_instance(name="worker")

    with pytest.raises(NameTaken):
        retry_job(failed.pk, actor=PERSON, reason="", now=LATER)


def test_a_retried_replacement_knows_nothing_of_the_machine_that_was_given_up() -> None:
    instance = make_instance(status="exited", wanted="running")
    failed = make_job_without_wish(instance, "replace")
    traces = {"machine": 7, "undone": True, "undone_code": "not_ready", "undone_reason": "late", "undos": 2, "lets": 1}
    failed.arguments = {"old": instance.machine_id, "reclaim": 3, "swapped": True, **traces}
    failed.save(update_fields=["arguments"])

    job = retry_job(failed.pk, actor=PERSON, reason="again", now=LATER)

    assert job.arguments == {"old": instance.machine_id, "reclaim": 3}


def test_only_a_failed_job_is_tried_again() -> None:
    job = make_job(make_instance(), verb="stop", state="succeeded")

    with pytest.raises(WrongPhase):
        retry_job(job.pk, actor=PERSON, reason="", now=NOW)


def make_job_without_wish(instance: Instance, verb: str) -> Job:
    return Job.objects.create(
        instance=instance,
        verb=verb,
        state="failed",
        requested_by_kind="user",
        next_attempt_at=NOW,
        created_at=NOW,
        finished_at=NOW,
    )


def test_settings_change_with_one_event_that_names_before_and_after() -> None:
    instance = make_instance(owner="tom")

    change_settings(
        instance.pk,
        {"owner": "maya", "protected": False, "max_price_usd_per_hour": Decimal("0.5")},
        actor=PERSON,
        reason="moved",
        now=NOW,
    )
    change_settings(instance.pk, {"owner": "maya"}, actor=PERSON, reason="again", now=NOW)

    [event] = Event.objects.filter(type="instance.settings_changed")
    assert (event.before, event.after) == (
        {"owner": "tom", "max_price_usd_per_hour": None},
        {"owner": "maya", "max_price_usd_per_hour": "0.5"},
    )


def test_the_last_use_only_moves_forward_and_its_first_after_ready_is_told_once() -> None:
    instance = make_instance()

    times = (LATER, NOW, LATER, LATER + timedelta(seconds=1))
    stored = [record_use(instance.pk, at=at, actor=PERSON, now=at).last_used_at for at in times]

    instance.refresh_from_db()
    assert stored == [LATER, LATER, LATER, LATER + timedelta(seconds=1)]
    assert instance.last_used_at == LATER + timedelta(seconds=1)
    assert types(instance).count("instance.first_used") == 1


def test_no_pause_lasts_longer_than_a_week_whoever_asks_for_it() -> None:
    with pytest.raises(TooLong):
        pause_automation(until=NOW + LONGEST_PAUSE + timedelta(seconds=1), reason="", actor=PERSON, now=NOW)
    assert not AutomationPause.objects.exists()
    pause_automation(until=NOW + LONGEST_PAUSE, reason="", actor=PERSON, now=NOW)


def test_a_pause_holds_rules_until_its_end_and_can_be_ended() -> None:
    make_account()
    pause_automation(until=LATER, reason="moving house", actor=PERSON, now=NOW)

    assert "moving house" in hold_reason(NOW)
    assert hold_reason(LATER) == ""
    resume_automation(actor=PERSON, now=NOW)
    assert hold_reason(NOW) == ""
    assert list(Event.objects.values_list("type", flat=True).order_by("id")) == ["automation.paused", "automation.resumed"]


def test_a_revival_pursues_the_wish_again_and_is_refused_for_what_is_not_wanted_running() -> None:
    taken = make_reclaim(make_instance(status="exited", wanted="running"))
    stopped = make_reclaim(make_instance(status="exited"))

    job = request_revival(taken, Verb.START, actor=RULE, reason="taken back", now=NOW)

    taken.refresh_from_db()
    assert (job.verb, job.arguments, taken.state) == ("start", {"reclaim": taken.pk}, "acting")
    assert Instance.objects.get(pk=taken.instance_id).met_at is None
    for reclaim, verb, refusal in ((stopped, Verb.START, WrongPhase), (taken, Verb.MIGRATE, JobOpen)):
        with pytest.raises(refusal):
            request_revival(reclaim, verb, actor=RULE, reason="taken back", now=NOW)


def test_every_refusal_has_a_code_of_its_own() -> None:
    refusals: list[type[OperationRefused]] = [OperationRefused, *OperationRefused.__subclasses__()]

    assert len({refusal.code for refusal in refusals}) == len(refusals)


def test_what_a_rule_stopped_and_a_person_wants_stopped_too_is_the_persons_from_then_on() -> None:
    instance = make_instance(status="running")
    rule = Actor(kind="rule", name="auto-stop")
    request_stop(instance.pk, actor=rule, reason="idle", now=NOW)

    request_stop(instance.pk, actor=PERSON, reason="keep it off", now=NOW)
    request_stop(instance.pk, actor=rule, reason="idle", now=NOW)

    instance.refresh_from_db()
    assert (instance.wanted_by_kind, instance.wanted_by_name) == (PERSON.kind, PERSON.name)
    assert instance.wanted_reason == "keep it off"
    assert instance.jobs.count() == 1
    told = instance.events.filter(type="instance.stopped_wanted").order_by("id").values_list("actor_kind", flat=True)
    assert list(told) == ["rule", PERSON.kind]
