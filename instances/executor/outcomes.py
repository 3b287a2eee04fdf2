"""What becomes of a job after a call, sorted by what may have happened at Novita; and how a job ends."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from instances import set_aside
from instances.alarms import clear_alarm, raise_alarm
from instances.events import OUTSIDE, SYSTEM, Actor, record
from instances.executor.claims import store
from instances.executor.steps import RECHECK, Act, Step, capacity_gap, doublings, gives_up, outage_gap, refusal_gap
from instances.lifecycle import CALL_FROM, NEVER_FAIL, OPEN_STATES, JobState, Observed, Verb
from instances.models import Instance, Job, Machine
from instances.models.machine import interval_usd
from instances.novita.errors import (
    AuthFailed,
    InvalidState,
    NoCapacity,
    NotFound,
    NovitaError,
    RateLimited,
    Rejected,
    Unavailable,
)
from instances.operations.jobs import derive_job, end_job, end_wish, pursues_wish
from instances.operations.wishes import locked_instance
from instances.periodic import bring_forward, process_name
from instances.phases import refresh_phase
from instances.provider_key import note_write_refused
from instances.reclaims import is_reclaiming
from instances.vouching import locked_account

AUTH_GAP = timedelta(seconds=60)


def accepted(job: Job, *, now: datetime, provider_job_id: str = "") -> None:
    """Novita took it; now reads must show it."""
    _confirming(job, "accepted", now=now, provider_job_id=provider_job_id)


def unclear(job: Job, *, now: datetime, error: NovitaError) -> None:
    """It may have happened: find out by reading, never by asking again."""
    _confirming(job, "unclear", now=now, error_code=error.code, error_detail=error.message)


def failed_call(job: Job, error: NovitaError, *, now: datetime) -> None:
    """Sort the error of a command (a create has rules of its own for capacity)."""
    if isinstance(error, NotFound) and job.verb == Verb.DELETE:
        accepted(job, now=now)
    elif isinstance(error, InvalidState | NotFound):
        unclear(job, now=now, error=error)
    elif isinstance(error, AuthFailed):
        key_refused(job, error, now=now)
    elif isinstance(error, NoCapacity) and _waits_for_capacity(job, now):
        not_sent(job, error, now=now, at=now + capacity_gap(job.attempts))
    elif isinstance(error, Unavailable):
        not_sent(job, error, now=now, at=again_at(error, job.attempts, now))
    elif isinstance(error, Rejected) and job.verb in NEVER_FAIL:
        not_sent(job, error, now=now, at=error.retry_at or now + capacity_gap(job.attempts))
    elif isinstance(error, Rejected):
        finish(job, Step(act=Act.FAIL, code=error.code, reason=error.message), now=now)
    else:
        unclear(job, now=now, error=error)


def key_refused(job: Job, error: AuthFailed, *, now: datetime) -> None:
    """Novita refuses the key for this call: it waits, ever longer. What may fail does so once reads worked all the while."""
    with transaction.atomic():
        locked_account()
        instance = locked_instance(job.instance_id)
        job.refresh_from_db(fields=["arguments"])
        since = note_write_refused(f"the {job.verb} of {instance.name}", error.message, now=now)
        told = since.isoformat() if since else ""
        before = int(job.arguments.get("refusals", 0)) if told and job.arguments.get("refused_since") == told else 0
        refusals = before + 1
        if not store(job, arguments={**job.arguments, "refused_since": told, "refusals": refusals}):
            return
        if gives_up(Verb(job.verb), refusals):
            reason = f"Novita refused it {refusals} times and took the API key for reads: {error.message}"
            finish(job, Step(act=Act.FAIL, code=error.code, reason=reason), now=now)
        else:
            not_sent(job, error, now=now, at=now + refusal_gap(refusals))


def again_at(error: NovitaError, attempts: int, now: datetime) -> datetime:
    """When to ask again after the n-th answer that nothing was done: as Novita says, else soon, later after a 429."""
    gap = capacity_gap if isinstance(error, RateLimited) else outage_gap
    return error.retry_at or now + gap(attempts)


def not_sent(job: Job, error: NovitaError, *, now: datetime, at: datetime) -> None:
    """Nothing happened at Novita: wait and ask again. An earlier call of this job stays what it was."""
    changes: dict[str, Any] = {
        "next_attempt_at": max(at, now + timedelta(seconds=1)),
        "lease_until": None,
        "error_code": error.code,
        "error_detail": error.message,
    }
    if job.call_outcome:
        changes |= {"state": JobState.CONFIRMING, "call_ended_at": now}
    else:
        changes |= {"state": JobState.QUEUED, "called_at": None}
    with transaction.atomic():
        instance = locked_instance(job.instance_id)
        if Job.objects.filter(pk=job.pk, yields=True).exists():
            changes["next_attempt_at"] = now  # it ends at once, for the sake of what is wanted by now
        if store(job, **changes):
            refresh_phase(instance, now=now)


def wait(job: Job, step: Step, *, now: datetime) -> None:
    """Give the claim back and look again later. What went wrong last stays told, unless the step names something newer."""
    changes: dict[str, Any] = {
        "state": JobState.CONFIRMING if job.was_called else JobState.QUEUED,
        "lease_until": None,
        "next_attempt_at": step.at or now + RECHECK,
    }
    if step.code or not job.error_code:
        changes |= {"error_code": step.code, "error_detail": step.reason[:2000]}
    if not step.code:
        store(job, **changes)
        return
    with transaction.atomic():
        instance = locked_instance(job.instance_id)
        if store(job, **changes):
            refresh_phase(instance, now=now)  # what it waits for is its next action


def finish(job: Job, step: Step, *, now: datetime) -> None:
    """End a job by a verdict, unless the claim was lost; then go on with what the wish needs next."""
    state = {Act.SUCCEED: JobState.SUCCEEDED, Act.FAIL: JobState.FAILED, Act.SUPERSEDE: JobState.SUPERSEDED}[step.act]
    with transaction.atomic():
        instance = locked_instance(job.instance_id)
        current = Job.objects.select_for_update().get(pk=job.pk)
        if current.fence != job.fence or not current.is_open:
            return
        if current.verb == Verb.CREATE:
            give_up_attempt(instance, now)
        end_job(current, state, now=now, instance=instance, actor=SYSTEM, reason=step.reason, error_code=step.code)
        if state != JobState.SUCCEEDED and is_reclaiming(instance):
            _let_the_reclaim_go_on(instance, now)
        elif pursues_wish(current, instance):
            if state == JobState.FAILED:
                end_wish(instance, now=now, actor=_ender(current), reason=f"its {current.verb} failed: {step.reason}")
            elif state == JobState.SUPERSEDED and instance.observed in (Observed.ABSENT, Observed.NOTHING):
                end_wish(instance, now=now, actor=OUTSIDE, reason=step.reason)
        if state == JobState.SUCCEEDED:
            _after_success(current, instance, now)
        derive_job(instance, now=now)
        refresh_phase(instance, now=now)


def _ender(failed: Job) -> Actor:
    """In whose name a wish ends with its job: what a rule could not start stays that rule's to start."""
    if failed.verb == Verb.START and failed.requested_by_kind == "rule":
        return Actor(kind=failed.requested_by_kind, name=failed.requested_by_name)
    return SYSTEM


def set_job_aside(job_id: UUID, error: Exception, *, now: datetime) -> None:
    """This thread's step failed for a reason of our own. What was sent before it is judged at the next step, as ever."""
    job = Job.objects.select_related("instance").defer("instance__envs").get(pk=job_id)
    subject = f"job:{job_id}"
    set_aside.tell(subject, f"{job.verb} of {job.instance.name}", error, instance=job.instance, now=now)
    later = now + set_aside.gap(subject, now=now)
    text = f"{type(error).__name__}: {error}"[:2000]
    held = Job.objects.filter(pk=job_id, lease_owner=process_name(), lease_until__gt=now, state__in=OPEN_STATES)
    held.update(lease_until=None, next_attempt_at=later, error_code=set_aside.KIND, error_detail=text)


def take_up_again(job: Job, *, now: datetime) -> None:
    """A step of a job that had been set aside went well."""
    Job.objects.filter(pk=job.pk, error_code=set_aside.KIND).update(error_code="", error_detail="")
    clear_alarm(set_aside.KIND, f"job:{job.pk}", now=now)


def _let_the_reclaim_go_on(instance: Instance, now: datetime) -> None:
    """It was taken back and is still wanted: the wish stands, and what is tried next is decided with the reclaim."""
    if instance.met_at is None:
        instance.met_at = now
        instance.save(update_fields=["met_at"])


def cancel_kept(job: Job, instance: Instance, kept: str, now: datetime) -> None:
    """A rule asked, and before Novita was it became one to be kept: the rule's job ends, in the caller's transaction."""
    current = Job.objects.select_for_update().get(pk=job.pk)
    if current.fence != job.fence or not current.is_open:
        return
    reason = f"{kept}: rules leave it alone"
    end_job(current, JobState.CANCELLED, now=now, instance=instance, actor=SYSTEM, reason=reason)
    if pursues_wish(current, instance):
        end_wish(instance, now=now, actor=SYSTEM, reason=reason)
    refresh_phase(instance, now=now)


def alarm_unconfirmed(job: Job, instance: Instance, now: datetime) -> None:
    """A stop or delete that Novita took and does not show: told anew with each doubling of the calls, and what it costs."""
    raise_alarm(
        "unconfirmed",
        str(instance.pk),
        text=f"{instance.name}: Novita was asked {job.attempts} times to {job.verb} it and does not show it done; "
        f"{_billed_since(job, instance.machine, now)}",
        remedy=f"Look at {instance.machine} in Novita's console; it is asked again, ever more slowly, until Novita shows it",
        now=now,
        instance=instance,
        level=job.attempts.bit_length(),
    )


def alarm_waiting(job: Job, instance: Instance, why: str, now: datetime) -> None:
    """A stop or delete that Novita was not asked for, since it may not be yet: told anew with each doubling of the wait."""
    waits = why if why.startswith("waits") else f"waits: {why}"
    remedy = f"Look at {instance.machine} in Novita's console; it is asked for as soon as it may be"
    if job.verb == Verb.STOP and instance.observed not in CALL_FROM[Verb.STOP]:
        remedy += ". Novita stops only what runs and deletes in any state: delete it unless its disks are needed"
    raise_alarm(
        "unconfirmed",
        str(instance.pk),
        text=f"{instance.name}: its {job.verb} {waits}; {_billed_since(job, instance.machine, now)}",
        remedy=remedy,
        now=now,
        instance=instance,
        level=doublings(now - job.created_at),
    )


def _billed_since(job: Job, machine: Machine | None, now: datetime) -> str:
    since = f"since {job.created_at:%F %T} UTC"
    if machine is None or machine.billed_since is None:
        disks = machine.disk_usd_per_day if machine else None
        return f"its disks are billed at ${disks.normalize():f} per day {since}" if disks else f"asked {since}"
    if machine.billed_price_usd_per_hour is None:
        return f"still billing {since}, at a price that Novita has not told"
    spent = interval_usd(max(job.created_at, machine.billed_since), now, machine.billed_price_usd_per_hour)
    return f"still billing at ${machine.billed_price_usd_per_hour.normalize():f} per hour: ${spent:.2f} {since}"


def _confirming(job: Job, outcome: str, *, now: datetime, **changes: Any) -> None:
    with transaction.atomic():
        instance = locked_instance(job.instance_id)
        held = store(
            job,
            state=JobState.CONFIRMING,
            call_outcome=outcome,
            call_ended_at=now,
            lease_until=None,
            next_attempt_at=now + _first_look(job, outcome),
            **{"error_code": "", "error_detail": "", **changes},
        )
        if held:
            if outcome == "unclear":
                record(
                    f"job.{job.verb}_unclear",
                    at=now,
                    actor=SYSTEM,
                    instance=instance,
                    job=job,
                    reason=f"no clear answer from Novita: {job.error_detail}",
                )
            refresh_phase(instance, now=now)
    bring_forward("watch", to=now)


def _first_look(job: Job, outcome: str) -> timedelta:
    if outcome == "unclear":
        return timedelta(seconds=1)
    return timedelta(0) if job.is_about_own_moves else timedelta(seconds=3)


def _waits_for_capacity(job: Job, now: datetime) -> bool:
    """A start does, as long as its patience lasts; one for a reclaim is tried once, and what comes next is decided anew."""
    if job.verb != Verb.START or "reclaim" in job.arguments:
        return False
    return job.patience_until is not None and now < job.patience_until


def _after_success(job: Job, instance: Instance, now: datetime) -> None:
    if job.verb != Verb.EDIT:
        return
    if job.is_about_own_moves:
        Machine.objects.filter(current_of=instance).update(auto_migrate_off_at=now)
        return
    shown = {name: job.arguments[name] for name in ("ports", "rootfs_size_gb") if name in job.arguments}
    for name, value in shown.items():
        setattr(instance, name, value)
    if shown:
        instance.save(update_fields=list(shown))


def give_up_attempt(instance: Instance, now: datetime) -> None:
    """Mark the instance's attempt as having made nothing; it stays on record and is searched for in every list."""
    if instance.machine is not None and instance.machine.novita_id is None:
        Machine.objects.filter(pk=instance.machine.pk, novita_id=None).update(given_up_at=now)
        instance.machine = None
        instance.save(update_fields=["machine"])
