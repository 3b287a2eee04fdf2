"""Verbs in the admin: each says first what it costs, saves and loses, and then goes through the operations."""

import pytest
from django.test import Client
from django.utils import timezone

from instances.admin.asking import MOST_AT_ONCE
from instances.admin.instance import InstanceAdmin
from instances.models import Event, Instance, Job, Machine
from instances.operations import request_stop
from instances.person_verbs import VERBS
from instances.scopes import scope_of_verb
from tests.instances.admin_calls import JOBS, LIST, confirm, run, text_of, words_of
from tests.pages import KEY, person, running, signed_in

pytestmark = pytest.mark.django_db

ASKED_FIRST = sorted(set(VERBS) - {"keep-awake"})


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


@pytest.fixture(name="vic")
def _vic() -> Client:
    """May look at everything of instances, and change nothing."""
    return signed_in(person("vic", "view_instance", "view_machine", "view_job", "view_event", "view_alarm"))


def fitting(verb: str, name: str = "trainer") -> Instance:
    """An instance that the verb makes sense for."""
    if verb == "adopt":
        return running(name, managed=False, wanted="")
    instance = running(name, at=timezone.now())
    if verb == "start":
        Machine.objects.filter(instance=instance).update(status="exited", billed_since=None)
        Instance.objects.filter(pk=instance.pk).update(wanted="stopped", phase="stopped")
    return instance


def answers_for(verb: str, name: str = "trainer") -> dict[str, str]:
    return {"reason": "because", "typed": name if verb == "delete" else ""}


@pytest.mark.parametrize("verb", ASKED_FIRST)
def test_nothing_is_done_before_the_page_that_asks_is_answered(ann: Client, verb: str) -> None:
    instance = fitting(verb)
    events = Event.objects.count()
    shown = words_of(run(ann, LIST, verb.replace("-", "_"), instance))
    assert f"{VERBS[verb].label} trainer" in shown
    assert "so far, owned by vision." in shown
    assert not Job.objects.exists()
    assert Event.objects.count() == events


@pytest.mark.parametrize("verb", ASKED_FIRST)
def test_the_answer_carries_it_out_with_the_person_and_the_reason(ann: Client, verb: str) -> None:
    instance = fitting(verb)
    events = Event.objects.count()
    shown = words_of(confirm(ann, LIST, verb.replace("-", "_"), instance, **answers_for(verb)))
    assert f"1 {VERBS[verb].asked}." in shown
    told = list(Event.objects.order_by("id"))[events:]
    assert told
    assert {(one.actor_kind, one.actor_name) for one in told if one.actor_kind == "user"} == {("user", "ann")}
    assert "because" in [one.reason for one in told]


def test_a_start_says_its_price_and_a_stop_what_it_saves_and_what_still_costs(ann: Client) -> None:
    start = words_of(run(ann, LIST, "start", fitting("start", "sleeper")))
    assert "$0.35 per hour from the moment Novita pulls its image" in start
    stop = words_of(run(ann, LIST, "stop", fitting("stop", "worker")))
    assert "Saves $0.35 per hour from the moment Novita shows it stopped. Its disks still cost." in stop


def test_several_are_summed_up(ann: Client) -> None:
    one, two = running("one"), running("two", price="1.15")
    assert "Together this ends $1.50 per hour." in words_of(run(ann, LIST, "stop", one, two))


def test_where_a_price_is_unknown_no_sum_is_claimed(ann: Client) -> None:
    one, two = running("one"), running("two")
    Machine.objects.filter(instance=two).update(price_usd_per_hour=None)
    assert "Together" not in words_of(run(ann, LIST, "stop", one, two))


def test_what_the_verb_does_not_fit_is_left_out_with_the_facts(ann: Client) -> None:
    one, two = running("one"), running("two")
    foreign = running("foreign", managed=False, wanted="")
    response = run(ann, LIST, "stop", one, two, foreign)
    shown = words_of(response)
    assert "Stop 2 instances" in shown
    assert "Left out foreign ready not managed" in shown
    assert f'name="_selected_action" value="{foreign.pk}"' not in text_of(response)
    done = words_of(confirm(ann, LIST, "stop", one, two))
    assert "2 asked to stop." in done
    assert set(Job.objects.values_list("verb", "requested_by_name", "reason")) == {("stop", "ann", "asked for in the admin")}


def test_what_changed_while_the_page_was_open_is_refused_by_the_operation(ann: Client) -> None:
    one, two = running("one"), running("two")
    run(ann, LIST, "stop", one, two)
    Instance.objects.filter(pk=two.pk).update(managed=False, wanted="", met_at=None)
    shown = words_of(confirm(ann, LIST, "stop", one, two))
    assert "1 asked to stop." in shown
    assert "1 refused. two: it was not made here" in shown


def test_where_it_fits_none_it_says_why_and_asks_nothing(ann: Client) -> None:
    shown = words_of(run(ann, LIST, "start", running("one")))
    assert "Start fits none of these now. one: wanted running already" in shown


def test_keeping_awake_costs_nothing_to_weigh_and_is_done_at_once(ann: Client) -> None:
    instance = running("trainer")
    run(ann, LIST, "keep_awake", instance)
    instance.refresh_from_db()
    assert instance.last_used_at is not None


def test_a_delete_names_what_is_lost_and_needs_the_name_typed(ann: Client) -> None:
    instance = fitting("delete")
    Instance.objects.filter(pk=instance.pk).update(local_data="precious")
    asked = words_of(run(ann, LIST, "delete", instance))
    assert "everything on its local disks, which are marked precious" in asked
    assert "That ends $0.35 per hour. This cannot be taken back. It cost $0.70 so far" in asked
    for typed in ("", "Trainer", "trainer2"):
        again = words_of(confirm(ann, LIST, "delete", instance, reason="enough", typed=typed))
        assert "Type trainer to confirm" in again
    assert "This field is required" in words_of(confirm(ann, LIST, "delete", instance, reason="", typed="trainer"))
    assert not Job.objects.exists()
    done = words_of(confirm(ann, LIST, "delete", instance, reason="enough", typed="trainer"))
    assert "1 asked to delete." in done
    assert (Job.objects.get().verb, Job.objects.get().reason) == ("delete", "enough")


def test_a_delete_of_several_needs_their_number_typed(ann: Client) -> None:
    one, two, guarded = running("one"), running("two"), running("guarded", protected=True)
    asked = words_of(run(ann, LIST, "delete", one, two, guarded))
    assert "Type 2 to confirm" in asked
    assert "Left out guarded ready wanted running already, protected" in asked
    assert "Type 2 to confirm" in words_of(confirm(ann, LIST, "delete", one, two, reason="enough", typed="3"))
    assert "2 asked to delete." in words_of(confirm(ann, LIST, "delete", one, two, reason="enough", typed="2"))


def test_a_protected_instance_is_not_deleted_whatever_is_sent(ann: Client) -> None:
    shown = words_of(confirm(ann, LIST, "delete", running("trainer", protected=True), reason="x", typed="trainer"))
    assert "1 refused. trainer: it is protected" in shown
    assert not Job.objects.exists()


def test_moving_needs_a_reason_for_it_loses_local_disks(ann: Client) -> None:
    instance = running("trainer")
    assert "loses everything on its local disks" in words_of(run(ann, LIST, "migrate", instance))
    confirm(ann, LIST, "migrate", instance, reason="")
    assert not Job.objects.exists()
    confirm(ann, LIST, "migrate", instance, reason="a noisy neighbour")
    assert (Job.objects.get().verb, Job.objects.get().reason) == ("migrate", "a noisy neighbour")


def test_adopting_makes_a_name_of_ours_from_one_of_novita_s(ann: Client) -> None:
    spaced = running("my big box!", managed=False, wanted="")
    nameless = running("", managed=False, wanted="")
    confirm(ann, LIST, "adopt", spaced, nameless)
    spaced.refresh_from_db()
    nameless.refresh_from_db()
    assert (spaced.name, nameless.name) == ("my-big-box", "rtx-4090-24gb-id")
    assert (spaced.managed, spaced.wanted, spaced.auto_stop_mode) == (True, "running", "observe")


def test_one_asked_on_an_instance_s_page_comes_back_to_it(ann: Client) -> None:
    instance = running("trainer")
    page = f"{LIST}{instance.pk}/change/"
    assert f'<a href="{page}">No, go back</a>' in text_of(run(ann, LIST, "stop", instance, back="object"))
    response = confirm(ann, LIST, "stop", instance, back="object")
    assert response.redirect_chain[-1][0] == page


def test_more_than_one_page_can_show_are_not_acted_upon(ann: Client) -> None:
    now = timezone.now()
    Instance.objects.bulk_create(
        Instance(name=f"n{number}", wanted="running", wanted_at=now, created_at=now) for number in range(MOST_AT_ONCE + 1)
    )
    everything = {"action": "stop", "_selected_action": [str(Instance.objects.first().pk)], "index": "0"}  # type: ignore[union-attr]
    shown = words_of(ann.post(LIST, {**everything, "select_across": "1"}, follow=True))
    assert f"At most {MOST_AT_ONCE} at once" in shown
    assert not Job.objects.exists()


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_each_verb_needs_the_scope_it_needs_everywhere(verb: str) -> None:
    action = getattr(InstanceAdmin, verb.replace("-", "_"))
    assert action.allowed_permissions == [scope_of_verb(verb)]


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_who_may_only_look_is_refused_every_verb_in_a_clear_sentence(vic: Client, verb: str) -> None:
    instance = fitting(verb)
    for answers in ({}, {"confirmed": "yes", **answers_for(verb)}):
        response = run(vic, LIST, verb.replace("-", "_"), instance, **answers)
        assert response.status_code == 403
        assert f"Your account lacks the permission to {verb.replace('-', ' ')} instances." in words_of(response)
    assert not Job.objects.exists()


def test_who_may_only_look_is_offered_no_verb(vic: Client) -> None:
    instance = running("trainer")
    assert 'value="stop"' not in text_of(vic.get(LIST))
    assert 'value="stop"' not in text_of(vic.get(f"{LIST}{instance.pk}/change/"))


def test_who_may_stop_may_not_delete_without_the_scope(ann: Client) -> None:
    otto = signed_in(person("otto", "view_instance", "change_instance"))
    instance = running("trainer")
    shown = text_of(otto.get(f"{LIST}{instance.pk}/change/"))
    assert 'value="stop"' in shown
    assert 'value="delete"' not in shown
    assert run(otto, LIST, "delete", instance).status_code == 403
    assert "1 asked to stop." in words_of(confirm(otto, LIST, "stop", instance))


def test_a_job_not_yet_sent_is_cancelled_once_that_is_confirmed(ann: Client) -> None:
    instance = running("trainer")
    request_stop(instance.pk, actor=KEY, reason="", now=timezone.now())
    job = Job.objects.get()
    assert "Novita is not asked to stop it." in words_of(run(ann, JOBS, "cancel", job))
    job.refresh_from_db()
    assert job.state == "queued"
    assert "1 cancelled." in words_of(confirm(ann, JOBS, "cancel", job))
    job.refresh_from_db()
    assert job.state == "cancelled"
    assert Event.objects.filter(type="job.stop_cancelled", actor_name="ann").exists()


def failed_job(verb: str) -> Job:
    instance = fitting("start")
    if verb == "create":
        Instance.objects.filter(pk=instance.pk).update(max_price_usd_per_hour="0.50", machine=None)
    now = timezone.now()
    return Job.objects.create(
        instance=instance, verb=verb, state="failed", created_at=now, finished_at=now, next_attempt_at=now
    )


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("create", "a new machine, billed at $0.50 per hour at most from the moment it pulls its image"),
        ("start", "$0.35 per hour from the moment Novita pulls its image"),
        ("edit", "Novita is asked for the same again; no bill starts by it."),
    ],
)
def test_trying_a_failed_job_again_says_what_it_may_cost(ann: Client, verb: str, said: str) -> None:
    assert said in words_of(run(ann, JOBS, "retry", failed_job(verb)))
    assert Job.objects.count() == 1


def test_a_failed_job_is_tried_again_once_that_is_confirmed(ann: Client) -> None:
    job = failed_job("start")
    assert "1 queued again." in words_of(confirm(ann, JOBS, "retry", job, reason="there are GPUs now"))
    assert Job.objects.get(state="queued").reason == "there are GPUs now"


def test_a_create_is_tried_again_only_by_who_may_create() -> None:
    otto = signed_in(person("otto", "view_instance", "view_job", "change_instance"))
    job = failed_job("create")
    assert "None of these can be queued again by you." in words_of(confirm(otto, JOBS, "retry", job))
    assert Job.objects.count() == 1


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_who_may_only_look_touches_no_job(vic: Client, action: str) -> None:
    assert run(vic, JOBS, action, failed_job("start"), confirmed="yes").status_code == 403
