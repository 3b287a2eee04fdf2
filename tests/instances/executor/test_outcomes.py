"""How a job ends, and what that leaves of the wish: the newest wish is never lost to the end of an older job."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from instances.executor import outcomes
from instances.executor.claims import claim
from instances.executor.commands import call_command
from instances.executor.run import carry_out, derive_missing
from instances.executor.steps import LONGEST_GAP, Act, JobFacts, Step, next_step
from instances.lifecycle import Observed, Verb
from instances.models import Alarm, Instance, Job
from instances.novita.errors import RateLimited
from instances.operations import (
    Unmanaged,
    cancel_job,
    release,
    request_delete,
    request_start,
    request_stop,
    retry_job,
)
from tests.factories import NOW, PERSON, make_account, make_instance, make_job
from tests.instances.novita.factory import make_client

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)
NOWHERE = "http://127.0.0.1:9"  # nobody listens there: nothing happened


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    with time_machine.travel(NOW + SECOND):
        yield


def sent(instance: Instance, verb: str, **columns: Any) -> Job:
    """A job whose call is under way."""
    return make_job(instance, verb=verb, state="sent", called_at=NOW, **columns)


def ask(verb: Any, instance: Instance, at: Any = NOW) -> Instance:
    verb(instance.pk, actor=PERSON, reason="a test", now=at)
    instance.refresh_from_db()
    return instance


def open_verbs(instance: Instance) -> list[str]:
    return list(instance.jobs.filter(finished_at=None).values_list("verb", flat=True))


def alarms(kind: str) -> int:
    return Alarm.objects.filter(kind=kind, cleared_at=None).count()


FAILED = Step(act=Act.FAIL, code="no_money", reason="the balance is used up")


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_failure_of_what_was_asked_before_never_ends_a_delete_wish(verb: str) -> None:
    instance = make_instance(status="exited")
    job = sent(instance, verb)
    ask(request_delete, instance)

    job.refresh_from_db()
    outcomes.finish(job, FAILED, now=NOW + SECOND)

    instance.refresh_from_db()
    assert (instance.wanted, instance.wanted_by_name, open_verbs(instance)) == ("deleted", PERSON.name, ["delete"])


def test_a_failure_of_what_is_wanted_now_ends_the_wish() -> None:
    instance = make_instance(status="exited")
    job = sent(instance, "start")

    outcomes.finish(job, FAILED, now=NOW + SECOND)

    instance.refresh_from_db()
    assert (instance.wanted, instance.met, open_verbs(instance)) == ("stopped", True, [])
    assert "used up" in instance.failure


def test_cancelling_a_job_that_a_newer_wish_waits_for_goes_on_with_that_wish() -> None:
    instance = make_instance(status="exited")
    job = sent(instance, "start")
    ask(request_delete, instance)
    Job.objects.update(state="queued", called_at=None)  # Novita was away: nothing happened

    cancel_job(job.pk, actor=PERSON, reason="", now=NOW + SECOND)

    instance.refresh_from_db()
    assert (instance.wanted, open_verbs(instance)) == ("deleted", ["delete"])


def test_a_job_that_was_not_sent_and_yields_is_looked_at_at_once() -> None:
    instance = make_instance(status="exited")
    job = sent(instance, "start")
    ask(request_delete, instance)

    job.refresh_from_db()
    error = RateLimited("slow down", retry_at=NOW + timedelta(minutes=1))
    outcomes.not_sent(job, error, now=NOW, at=NOW + timedelta(minutes=1))

    job.refresh_from_db()
    assert job.next_attempt_at == NOW


def test_what_is_gone_while_a_job_was_open_is_wanted_no_more() -> None:
    instance = make_instance(machine={"absent_at": NOW})
    job = sent(instance, "stop")

    outcomes.finish(job, Step(act=Act.SUPERSEDE, reason="it is gone from Novita"), now=NOW + SECOND)

    instance.refresh_from_db()
    assert (instance.phase, instance.wanted, open_verbs(instance)) == ("gone", "", [])


def test_a_start_ends_the_alarm_of_the_stop_it_takes_back() -> None:
    instance = make_instance()
    job = make_job(instance, verb="stop", state="confirming", called_at=NOW, call_outcome="accepted", call_ended_at=NOW)
    outcomes.alarm_unconfirmed(job, instance, NOW)
    assert alarms("unconfirmed") == 1

    ask(request_start, instance)

    assert alarms("unconfirmed") == 0


def test_a_stop_that_novita_is_at_for_long_is_loud() -> None:
    now = timezone.now()
    instance = make_instance(status="stopping", wanted="stopped", met_at=None, machine={"observed_at": now})
    long_ago = now - timedelta(minutes=20)
    calls: dict[str, Any] = {"called_at": long_ago, "call_ended_at": long_ago, "call_outcome": "accepted", "attempts": 1}
    job = make_job(instance, verb="stop", state="confirming", **calls)

    carry_out(job.pk, client=make_client(base_url=NOWHERE, retry_attempts=1))

    assert alarms("unconfirmed") == 1


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        *[("stop", status) for status in ("creating", "pulling", "starting", "restarting", "migrating", "puzzling")],
        ("delete", "removing"),
    ],
)
def test_what_novita_may_not_be_asked_for_yet_is_loud_once_it_has_waited_long(verb: str, status: str) -> None:
    now = timezone.now()
    job = make_job(make_instance(status=status), verb=verb, now=now - LONGEST_GAP + 30 * SECOND)

    carry_out(job.pk, client=make_client(base_url=NOWHERE, retry_attempts=1))
    assert alarms("unconfirmed") == 0
    Job.objects.update(created_at=now - LONGEST_GAP - SECOND, next_attempt_at=now)
    carry_out(job.pk, client=make_client(base_url=NOWHERE, retry_attempts=1))

    [alarm] = Alarm.objects.filter(kind="unconfirmed", cleared_at=None)
    job.refresh_from_db()
    assert f"its {verb} waits, since Novita shows it " in alarm.text
    assert (job.state, job.attempts) == ("queued", 0)


def test_a_stop_that_waits_for_the_key_to_be_taken_is_loud_once_it_has_waited_long() -> None:
    now = timezone.now()
    make_account(key_refused_since=now)
    job = make_job(make_instance(), verb="stop", now=now - LONGEST_GAP - SECOND)

    carry_out(job.pk, client=make_client(base_url=NOWHERE, retry_attempts=1))

    [alarm] = Alarm.objects.filter(kind="unconfirmed", cleared_at=None)
    assert "its stop waits: Novita refuses the API key" in alarm.text


def test_an_errand_that_waits_long_is_not_loud() -> None:
    job = make_job(make_instance(status="exited"), verb="start", now=timezone.now() - 2 * LONGEST_GAP)
    make_account(key_refused_since=timezone.now())

    carry_out(job.pk, client=make_client(base_url=NOWHERE, retry_attempts=1))

    assert alarms("unconfirmed") == 0


def test_one_call_that_never_left_is_not_loud_yet() -> None:
    instance = make_instance()
    job = make_job(instance, verb="stop", attempts=1)

    carry_out(job.pk, client=make_client(base_url=NOWHERE, retry_attempts=1))

    job.refresh_from_db()
    assert (job.state, job.attempts, alarms("unconfirmed")) == ("queued", 2, 0)


def test_what_became_protected_is_not_stopped_by_a_rule_that_asked_before() -> None:
    instance = make_instance()
    job = make_job(instance, verb="stop", requested_by_kind="rule", requested_by_name="auto-stop")
    Instance.objects.update(protected=True)

    carry_out(job.pk, client=make_client(base_url=NOWHERE, retry_attempts=1))

    job.refresh_from_db()
    instance.refresh_from_db()
    assert (job.state, job.attempts, job.called_at) == ("cancelled", 0, None)
    assert (instance.wanted, instance.met, instance.phase) == ("running", True, "ready")


def test_a_person_stops_a_protected_one() -> None:
    instance = make_instance(protected=True)
    job = make_job(instance, verb="stop")

    carry_out(job.pk, client=make_client(base_url=NOWHERE, retry_attempts=1))

    job.refresh_from_db()
    assert job.attempts == 1


def test_a_call_has_a_whole_lease_however_late_in_the_claim_it_is_made(settings: Any) -> None:
    instance = make_instance()
    job = claim(make_job(instance, verb="stop").pk, timezone.now())
    assert job is not None
    Job.objects.update(lease_until=timezone.now() + SECOND)  # reading took most of it
    leases: list[Any] = []
    client = make_client(base_url=NOWHERE, retry_attempts=1, on_call=lambda _: leases.append(Job.objects.get().lease_until))

    before = timezone.now()
    call_command(job, instance, client)

    [lease] = leases
    assert lease >= before + settings.JOB_LEASE


def test_a_job_of_one_that_was_released_is_not_tried_again() -> None:
    instance = make_instance()
    job = make_job(instance, verb="restart", state="failed")
    release(instance.pk, actor=PERSON, reason="", now=NOW)

    with pytest.raises(Unmanaged):
        retry_job(job.pk, actor=PERSON, reason="", now=NOW)


def test_the_sweep_opens_the_missing_job_of_an_unmet_wish_and_of_nothing_else() -> None:
    lost = make_instance(wanted="stopped", met_at=None)
    make_instance(status="creating", met_at=None)  # comes up by itself
    make_instance(status="stopping", wanted="stopped", met_at=None, managed=True)
    make_instance()

    derive_missing(NOW)
    derive_missing(NOW)

    assert [(job.instance_id, job.verb) for job in Job.objects.filter(instance=lost)] == [(lost.pk, "stop")]
    assert set(Job.objects.values_list("verb", flat=True)) == {"stop"}


def test_a_stop_asked_while_a_start_is_unclear_settles_it_first() -> None:
    instance = make_instance(status="exited")
    job = make_job(instance, verb="start", state="confirming", called_at=NOW, call_ended_at=NOW, call_outcome="unclear")

    ask(request_stop, instance)

    job.refresh_from_db()
    assert (job.state, job.yields, open_verbs(instance)) == ("confirming", True, ["start"])


def judged(verb: Verb, observed: Observed, *, minutes: int, **more: Any) -> Step:
    """A step for a job called at NOW, by a read begun that many minutes later."""
    at = NOW + timedelta(minutes=minutes)
    known = {"called": True, "attempts": 1, "call_ended_at": NOW, "outcome": "accepted", "observed_at": at, **more}
    return next_step(JobFacts(verb=verb, now=at, observed=observed, **known))


def test_a_start_that_ran_and_exited_is_not_repeated() -> None:
    step = judged(Verb.START, Observed.EXITED, minutes=5, ran_anew=True, status_error="oom")

    assert (step.act, step.code) == (Act.FAIL, "exited")
    assert "oom" in step.reason
    assert judged(Verb.START, Observed.EXITED, minutes=5).act is Act.CALL


@pytest.mark.parametrize(("verb", "observed"), [(Verb.MIGRATE, Observed.MIGRATING), (Verb.RESTART, Observed.RESTARTING)])
def test_an_errand_with_a_lost_answer_that_is_seen_under_way_has_not_failed(verb: Verb, observed: Observed) -> None:
    assert judged(verb, observed, minutes=5, outcome="unclear").act in (Act.WAIT, Act.READ)
    assert judged(verb, Observed.RUNNING, minutes=5, outcome="unclear").code == "unclear"


def test_a_create_whose_earlier_attempt_turned_up_is_not_sent() -> None:
    facts = JobFacts(verb=Verb.CREATE, now=NOW, machine_known=True, observed=Observed.CREATING, observed_at=NOW)

    assert next_step(facts).act is Act.WAIT
