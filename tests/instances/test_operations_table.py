"""Every operation over every job state and every kind of instance: what settles first, what is refused, what is told."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from instances.events import Actor, current_request_id
from instances.lifecycle import OPEN_STATES, JobState, Verb
from instances.models import Event, Instance, Job
from instances.operations import (
    InstanceSpec,
    JobOpen,
    JobSent,
    NameTaken,
    OperationRefused,
    Unmanaged,
    WrongPhase,
    adopt,
    cancel_job,
    change_settings,
    pause_automation,
    release,
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
from tests.factories import NOW, make_instance, make_job, make_reclaim

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(minutes=1)
KEY = Actor(kind="key", name="deployer")
SECRET = "hunter2-secret"
SPEC = InstanceSpec(
    name="worker",
    product_name="RTX 4090",
    image_url="busybox:1",
    envs=({"key": "TOKEN", "value": SECRET},),
)
Ask = Callable[[Instance], object]
WHO: dict[str, Any] = {"actor": KEY, "reason": "because", "now": LATER}
PORTS = [{"port": 9000, "type": "http"}]

WISHES: dict[str, Ask] = {
    "start": lambda one: request_start(one.pk, **WHO),
    "stop": lambda one: request_stop(one.pk, **WHO),
    "delete": lambda one: request_delete(one.pk, **WHO),
}
ERRANDS: dict[str, Ask] = {
    "restart": lambda one: request_restart(one.pk, **WHO),
    "edit": lambda one: request_edit(one.pk, ports=PORTS, expand_rootfs_gb=5, **WHO),
    "migrate": lambda one: request_migrate(one.pk, **WHO),
    "save_image": lambda one: request_save_image(one.pk, image="registry/it:1", registry_auth_id="r1", **WHO),
}
OTHERS: dict[str, Ask] = {
    "revive": lambda one: request_revival(make_reclaim(one), Verb.START, **WHO),
    "settings": lambda one: change_settings(one.pk, {"owner": "maya"}, **WHO),
}
# How an open job may stand: its state, what its call told, and whether a new wish must wait for it to settle.
STANDINGS: list[tuple[str, dict[str, Any], bool]] = [
    ("queued", {}, False),
    ("claimed", {"lease_until": LATER}, False),
    ("sent", {"called_at": NOW, "lease_until": LATER}, True),
    ("confirming", {"called_at": NOW, "call_ended_at": NOW, "call_outcome": "accepted"}, False),
    ("confirming", {"called_at": NOW, "call_ended_at": NOW, "call_outcome": "unclear"}, True),
]


def refusal_of(ask: Ask, instance: Instance) -> type[OperationRefused] | None:
    """Its kind, where it is a conflict that says why."""
    try:
        ask(instance)
    except OperationRefused as refused:
        return type(refused) if refused.detail and refused.status == 409 else OperationRefused
    return None


def test_a_new_wish_at_every_standing_of_every_job() -> None:
    cases = [("stop", "start", "running"), ("start", "stop", "exited"), ("restart", "stop", "running")]
    cases += [(verb, "delete", "running") for verb in ("stop", "restart", "edit", "migrate", "save_image")]
    for (verb, wish, status), (state, columns, settles_first) in product(cases, STANDINGS):
        instance = make_instance(status=status)
        job = make_job(instance, verb=verb, state=state, fence=3, **columns)

        WISHES[wish](instance)

        job.refresh_from_db()
        instance.refresh_from_db()
        case = (verb, wish, state, columns.get("call_outcome"))
        assert instance.wanted == {"start": "running", "stop": "stopped", "delete": "deleted"}[wish], case
        assert (job.is_open, job.yields) == (settles_first, settles_first), case
        if settles_first:
            assert instance.met_at is None, case
            assert (job.state, job.fence, job.next_attempt_at <= LATER) == (state, 3, True), case
        else:
            # Whoever still holds the claim finds its result dropped.
            assert (job.state, job.fence, job.lease_until) == ("superseded", 4, None), case
        assert instance.jobs.filter(state__in=OPEN_STATES).count() <= 1, case


def test_what_a_new_wish_opens_where_the_way_is_free() -> None:
    for verb, wish, status, opened in (
        ("stop", "delete", "running", "delete"),
        ("start", "stop", "exited", None),
        ("stop", "start", "running", None),
        ("restart", "stop", "running", "stop"),
        ("start", "delete", "exited", "delete"),
    ):
        instance = make_instance(status=status)
        make_job(instance, verb=verb)

        WISHES[wish](instance)

        job = instance.jobs.filter(state__in=OPEN_STATES).first()
        assert (job.verb if job else None) == opened, (verb, wish)


def test_a_wish_that_settles_first_keeps_the_newest_wish_only() -> None:
    instance = make_instance()
    job = make_job(instance, verb="restart", state="sent", called_at=NOW)

    for wish in ("stop", "start", "delete"):
        WISHES[wish](instance)

    instance.refresh_from_db()
    assert (instance.wanted, instance.met_at) == ("deleted", None)
    assert list(Job.objects.all()) == [job]
    assert refusal_of(WISHES["start"], instance) is WrongPhase
    assert refusal_of(WISHES["stop"], instance) is WrongPhase


def test_who_may_be_asked_what() -> None:
    ended: dict[str, Any] = {"status": "removed", "machine": {"absent_at": NOW}}
    for name, ask in {**WISHES, **ERRANDS, **OTHERS}.items():
        assert refusal_of(ask, make_instance(managed=False)) is Unmanaged, name
        assert refusal_of(ask, make_instance(**ended, wanted="running")) is WrongPhase, name
    for name, ask in {**ERRANDS, "start": WISHES["start"], "stop": WISHES["stop"]}.items():
        assert refusal_of(ask, make_instance(wanted="deleted", met_at=None)) is WrongPhase, name
    assert refusal_of(WISHES["start"], make_instance(status="removing")) is WrongPhase


ALLOWED = {
    "restart": {"running"},
    "edit": {"running", "exited"},
    "migrate": {"running", "exited"},
    "save_image": {"running", "exited"},
}


def test_errands_go_from_where_novita_takes_them() -> None:
    words = ["creating", "pulling", "starting", "running", "stopping", "exited", "restarting", "migrating", "removing"]
    for (verb, ask), word in product(ERRANDS.items(), [*words, "hibernating"]):
        instance = make_instance(status=word)

        refused = refusal_of(ask, instance)

        assert refused is (None if word in ALLOWED[verb] else WrongPhase), (verb, word)
        assert instance.jobs.count() == (refused is None), (verb, word)


def test_an_errand_changes_no_wish_and_is_one_job_for_the_same_arguments() -> None:
    for verb, ask in ERRANDS.items():
        instance = make_instance()
        wish = (instance.wanted, instance.wanted_at, instance.met_at)

        ask(instance)
        ask(instance)

        instance.refresh_from_db()
        assert [one.verb for one in instance.jobs.all()] == [verb]
        assert (instance.wanted, instance.wanted_at, instance.met_at) == wish, verb
        for other, ask_other in ERRANDS.items():
            assert refusal_of(ask_other, instance) is (None if other == verb else JobOpen), (verb, other)


def test_the_same_errand_for_something_else_is_refused() -> None:
    instance = make_instance()
    request_edit(instance.pk, ports=PORTS, **WHO)

    with pytest.raises(JobOpen):
        request_edit(instance.pk, ports=[{"port": 9001, "type": "http"}], **WHO)
    with pytest.raises(JobOpen):
        request_edit(instance.pk, expand_rootfs_gb=5, **WHO)


def test_an_errand_waits_for_a_wish_to_be_met() -> None:
    for verb, ask in ERRANDS.items():
        instance = make_instance()
        make_job(instance, verb="stop")

        assert refusal_of(ask, instance) is JobOpen, verb


def test_every_change_tells_who_why_and_by_which_request() -> None:
    created = request_create(SPEC, **WHO)
    Event.objects.all().delete()
    asked: list[tuple[str, Instance, Ask]] = [
        *((name, make_instance(), ask) for name, ask in ERRANDS.items()),
        ("stop", make_instance(), WISHES["stop"]),
        ("start", make_instance(status="exited"), WISHES["start"]),
        ("delete", make_instance(), WISHES["delete"]),
        ("delete unmade", created, WISHES["delete"]),
        ("revive", make_instance(status="exited", wanted="running"), OTHERS["revive"]),
        ("settings", make_instance(), OTHERS["settings"]),
        ("adopt", make_instance(managed=False), lambda one: adopt(one.pk, name="mine", settings={}, **WHO)),
        ("release", make_instance(), lambda one: release(one.pk, **WHO)),
        ("pause", make_instance(), lambda one: pause_automation(until=LATER + timedelta(hours=1), **WHO)),
        ("resume", make_instance(), lambda one: resume_automation(**WHO)),
    ]
    for name, instance, ask in asked:
        Event.objects.all().delete()
        token = current_request_id.set(f"request-{name}")
        ask(instance)
        current_request_id.reset(token)

        events = list(Event.objects.all())
        assert events, name
        assert {(one.actor_kind, one.actor_name, one.request_id) for one in events} == {
            ("key", "deployer", f"request-{name}")
        }, name
        assert all(one.at == LATER and one.reason for one in events), name
        assert any("because" in one.reason for one in events), name


def test_a_refusal_changes_nothing_and_tells_nothing() -> None:
    instance = make_instance(protected=True)
    make_job(instance, verb="stop")
    before = Instance.objects.filter(pk=instance.pk).values().get()
    events = Event.objects.count()

    for ask in (WISHES["delete"], ERRANDS["restart"], lambda one: release(one.pk, **WHO)):
        assert refusal_of(ask, instance) is not None

    assert Instance.objects.filter(pk=instance.pk).values().get() == before
    assert (Event.objects.count(), Job.objects.count()) == (events, 1)


def test_cancelling_at_every_state() -> None:
    for verb, state in product(("stop", "restart"), JobState.values):
        instance = make_instance()
        called = state not in ("queued", "claimed", "cancelled")
        job = make_job(instance, verb=verb, state=state, called_at=NOW if called else None)
        try:
            cancel_job(job.pk, **WHO)
            refused: type[OperationRefused] | None = None
        except OperationRefused as error:
            refused = type(error)

        job.refresh_from_db()
        expected = {"queued": None, "claimed": None, "cancelled": None, "sent": JobSent, "confirming": JobSent}
        assert refused is expected.get(state, WrongPhase), (verb, state)
        assert job.state == ("cancelled" if refused is None else state), (verb, state)


def test_a_cancelled_errand_leaves_the_wish() -> None:
    instance = make_instance()
    wish = (instance.wanted, instance.wanted_at, instance.met_at)
    job = make_job(instance, verb="restart")

    cancel_job(job.pk, **WHO)

    instance.refresh_from_db()
    assert (instance.wanted, instance.wanted_at, instance.met_at) == wish
    assert not Event.objects.filter(type="instance.wish_ended").exists()


def test_a_cancelled_delete_falls_back_to_what_is_observed() -> None:
    for status, wanted in (("running", "running"), ("exited", "stopped"), ("pulling", "running")):
        instance = make_instance(status=status)
        job = make_job(instance, verb="delete")

        cancel_job(job.pk, **WHO)

        instance.refresh_from_db()
        assert (instance.wanted, instance.met) == (wanted, True), status
        assert instance.phase != "deleting", status


def test_a_failed_start_is_tried_again_with_patience_and_a_wish() -> None:
    instance = make_instance(status="exited")
    failed = make_job(instance, verb="start", state="failed")
    Instance.objects.filter(pk=instance.pk).update(wanted="stopped", met_at=NOW)

    again = retry_job(failed.pk, **WHO)

    instance.refresh_from_db()
    assert (again.verb, again.state, again.requested_by_name) == ("start", "queued", "deployer")
    assert again.patience_until is not None
    assert (instance.wanted, instance.met_at, instance.phase) == ("running", None, "requested")
    with pytest.raises(JobOpen):
        retry_job(failed.pk, **WHO)


def test_a_failed_errand_is_tried_again_with_its_arguments() -> None:
    arguments = {"ports": PORTS}
    instance = make_instance()
    failed = make_job(instance, verb="edit", state="failed", arguments=arguments)

    again = retry_job(failed.pk, **WHO)

    instance.refresh_from_db()
    assert (again.verb, again.arguments, instance.wanted) == ("edit", arguments, "running")


def test_a_create_is_not_tried_again_while_something_of_it_exists() -> None:
    instance = make_instance()
    failed = make_job(instance, verb="create", state="failed")

    with pytest.raises(WrongPhase):
        retry_job(failed.pk, **WHO)


def test_adopting_wants_what_is_observed() -> None:
    for number, (status, wanted) in enumerate([("running", "running"), ("exited", "stopped"), ("pulling", "running")]):
        stranger = make_instance(managed=False, status=status)

        mine = adopt(stranger.pk, name=f"mine-{number}", settings={}, **WHO)

        assert (mine.wanted, mine.met) == (wanted, True), status
        assert (mine.auto_stop_mode, mine.local_data) == ("observe", "precious")
        assert not mine.jobs.exists()


def test_adopting_and_releasing_twice_is_doing_it_once() -> None:
    instance = make_instance(managed=False)
    for _ in range(2):
        adopt(instance.pk, name="mine", settings={}, **WHO)
    for _ in range(2):
        release(instance.pk, **WHO)

    told = Event.objects.filter(type__in=["instance.adopted", "instance.released"]).order_by("id")
    assert [one.type for one in told] == ["instance.adopted", "instance.released"]
    instance.refresh_from_db()
    assert (instance.managed, instance.wanted, instance.wanted_at, instance.met_at) == (False, "", None, None)


def test_what_has_ended_is_not_adopted() -> None:
    with pytest.raises(WrongPhase):
        adopt(make_instance(managed=False, status="removed", machine={"absent_at": NOW}).pk, name="mine", settings={}, **WHO)


def test_a_name_that_is_taken_is_not_given_again() -> None:
    make_instance(name="taken")
    instance = make_instance(name="mine")

    with pytest.raises(NameTaken) as refused:
        change_settings(instance.pk, {"name": "TAKEN", "owner": "maya"}, **WHO)

    assert refused.value.field == "name"
    instance.refresh_from_db()
    assert (instance.name, instance.owner) == ("mine", "")
    assert change_settings(instance.pk, {"name": "Mine"}, **WHO).name == "Mine"


def test_settings_write_only_what_they_change() -> None:
    instance = make_instance()
    Instance.objects.filter(pk=instance.pk).update(last_used_at=LATER, wanted="stopped")

    change_settings(instance.pk, {"labels": {"team": "vision"}, "stop_at": LATER}, **WHO)

    instance.refresh_from_db()
    assert (instance.last_used_at, instance.wanted, instance.labels) == (LATER, "stopped", {"team": "vision"})
    assert instance.jobs.count() == 0


def test_a_request_keeps_every_field_it_was_given() -> None:
    instance = request_create(SPEC, **WHO)

    instance.refresh_from_db()
    for name, value in asdict(SPEC).items():
        if name != "local_data":
            assert getattr(instance, name) == (list(value) if isinstance(value, tuple) else value), name


def test_no_secret_is_told_by_any_operation() -> None:
    for number, (_, ask) in enumerate({**WISHES, **ERRANDS, **OTHERS}.items()):
        instance = make_instance(name=f"secretive-{number}", envs=[{"key": "TOKEN", "value": SECRET}])
        refusal_of(ask, instance)
    request_create(SPEC, **WHO)

    told = json.dumps([list(Event.objects.values()), list(Job.objects.values())], default=str)
    assert SECRET not in told
    assert SECRET not in repr(SPEC)
    assert SECRET not in json.dumps(list(Instance.objects.values("phase_reason", "wanted_reason", "failure")), default=str)
