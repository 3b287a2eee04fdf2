"""The jobs lane: take what is due and carry it out, several at a time, none waiting for another."""

import time
from dataclasses import replace
from datetime import datetime
from functools import partial
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from instances import set_aside
from instances.executor import create, outcomes
from instances.executor import replace as replacing
from instances.executor.claims import claim, due_jobs
from instances.executor.commands import call_command
from instances.executor.facts import facts_of
from instances.executor.steps import LONGEST_GAP, PROVE_EVERY, READ_EVERY, Act, JobFacts, Step, next_step
from instances.lifecycle import NEVER_FAIL, OPEN_STATES, Observed, Verb
from instances.models import Instance, Job, Machine
from instances.novita.client import Novita
from instances.novita.errors import NotFound, NovitaError
from instances.novita.pace import Rank
from instances.observation import observe, observe_not_found
from instances.operations.jobs import derive_job, needs_job
from instances.operations.wishes import locked_instance
from instances.phases import refresh_phase
from instances.provider import novita
from instances.provider_key import key_refused_since
from instances.readings import reading_of
from instances.set_aside import SetAside
from instances.vouching import locked_account
from instances.work_pool import WorkPool

log = structlog.get_logger("instances.executor")

THREADS = 16
BATCH = 64
LOUD_ATTEMPTS = 3  # a stop or delete that Novita does not take so often is alarmed

pool: WorkPool[UUID] = WorkPool("jobs", threads=THREADS)


def run_due(now: datetime) -> int:
    """Hand every due job to the lane's threads and return at once; how many were handed over."""
    return sum(
        pool.hand_over(job_id, partial(carry_out_or_set_aside, job_id), most=BATCH) for job_id in due_jobs(now, BATCH)
    )


def carry_out_or_set_aside(job_id: UUID) -> None:
    """What a fault of our own breaks must not come back with every tick."""
    try:
        carry_out(job_id)
    except set_aside.AWAY as error:
        log.warning("job.database_away", job_id=str(job_id), error=str(error)[:200])
    except Exception as error:
        log.exception("job.set_aside", job_id=str(job_id))
        _set_aside(job_id, error)


def _set_aside(job_id: UUID, error: Exception) -> None:
    """A step failed for a reason of our own: leave the job alone for a while, with an alarm."""
    try:
        outcomes.set_job_aside(job_id, error, now=timezone.now())
    except Exception:
        log.exception("job.not_set_aside", job_id=str(job_id))  # its lease ends by itself, and it is tried again


def carry_out(job_id: UUID, *, client: Novita | None = None) -> Step | None:
    """Claim the job, take the one step that is next, and store what came of it. None where it is not ours to take."""
    job = claim(job_id, timezone.now())
    if job is None:
        return None
    client, was_aside = client or novita(), job.error_code == set_aside.KIND
    instance = Instance.objects.select_related("machine").get(pk=job.instance_id)
    with structlog.contextvars.bound_contextvars(
        job_id=str(job.pk), instance_id=str(instance.pk), request_id=job.request_id
    ):
        began = time.perf_counter()
        if job.verb == Verb.REPLACE:
            step = replacing.carry_on(job, instance, client, held=_held_by_key(timezone.now()))
            _log_step(job, step, time.perf_counter() - began)
            return step
        step = next_step(facts_of(job, instance, now=timezone.now()))
        if step.act is Act.READ:
            step = _read(job, instance, client)
        if step.act is Act.CALL:
            step = _held_by_key(timezone.now()) or step
        _take(step, job, instance, client)
        if was_aside and (step.act not in (Act.WAIT, Act.LOOK) or job.error_code != set_aside.KIND):
            outcomes.take_up_again(job, now=timezone.now())
        _log_step(job, step, time.perf_counter() - began)
    return step


def _log_step(job: Job, step: Step, seconds: float) -> None:
    """One line per step; that it goes on waiting is told only to who wants every detail."""
    write = log.debug if step.act is Act.WAIT else log.info
    write("job.step", verb=job.verb, act=step.act.value, state=job.state, reason=step.reason, ms=round(seconds * 1000, 1))


def _held_by_key(now: datetime) -> Step | None:
    """A wait instead of a call while Novita refuses the key: only reads find out when it is taken again."""
    since = key_refused_since()
    if since is None:
        return None
    reason = f"Novita refuses the API key since {since:%F %T} UTC: nothing is sent until it is taken"
    return Step(act=Act.WAIT, code="auth_failed", reason=reason, at=now + outcomes.AUTH_GAP)


def _take(step: Step, job: Job, instance: Instance, client: Novita) -> None:
    now = timezone.now()
    if step.act is Act.CALL and job.verb == Verb.CREATE:
        create.call_create(job, instance, client)
    elif step.act is Act.CALL:
        if job.call_outcome or job.attempts >= LOUD_ATTEMPTS:
            _be_loud(job, instance, now)
        if call_command(job, instance, client):
            _read_by_id(instance, client)
    elif step.act is Act.LOOK:
        create.look(job, instance.machine, client)
    elif step.act is Act.START_OVER:
        create.start_over(job, instance, step)
    elif step.act is Act.WAIT:
        _tell_long_wait(job, instance, step, now)
        outcomes.wait(job, step, now=now)
    else:
        outcomes.finish(job, step, now=now)


def _be_loud(job: Job, instance: Instance, now: datetime) -> None:
    if job.verb in NEVER_FAIL:
        outcomes.alarm_unconfirmed(job, instance, now)


def _tell_long_wait(job: Job, instance: Instance, step: Step, now: datetime) -> None:
    """Of what ends a bill, whether Novita was asked and is at it, or may not be asked yet."""
    if job.verb not in NEVER_FAIL or now - (job.called_at or job.created_at) <= LONGEST_GAP:
        return
    if job.call_outcome:
        outcomes.alarm_unconfirmed(job, instance, now)
    else:
        outcomes.alarm_waiting(job, instance, step.reason, now)


def _read(job: Job, instance: Instance, client: Novita) -> Step:
    """Read what decides: Novita's own job, or the machine by id; then decide again."""
    provider_job = _provider_job_state(job, client) if job.provider_job_id else ""
    if not provider_job:
        _read_by_id(instance, client)
        instance = Instance.objects.select_related("machine").get(pk=instance.pk)
    now = timezone.now()
    facts: JobFacts = replace(facts_of(job, instance, now=now), provider_job=provider_job)
    step = next_step(facts)
    if step.act is Act.READ:
        soon = PROVE_EVERY if facts.observed is Observed.ABSENT else READ_EVERY
        return Step(act=Act.WAIT, reason="waits for Novita to show it", at=now + soon)
    return step


def _provider_job_state(job: Job, client: Novita) -> str:
    try:
        found = [one for one in client.list_jobs(job_id=job.provider_job_id) if one.id == job.provider_job_id]
    except NovitaError:
        return ""
    state = found[0].state if found else ""
    return {"success": "success", "fail": "fail", "break": "fail"}.get(state.lower(), "running" if state else "")


def _read_by_id(instance: Instance, client: Novita) -> None:
    """One read by id, observed like any other; an error is no evidence and changes nothing."""
    machine = instance.machine
    if machine is None or machine.novita_id is None:
        return
    began_at = timezone.now()
    try:
        detail = client.get_instance(machine.novita_id, rank=Rank.WRITE)
    except NotFound:
        with transaction.atomic():
            account = locked_account()
            machine = Machine.objects.get(pk=machine.pk)
            observe_not_found(machine, began_at=began_at, now=timezone.now(), account=account)
        return
    except NovitaError as error:
        log.info("job.read_failed", error=error.code)
        return
    with transaction.atomic():
        account = locked_account()
        machine = Machine.objects.get(pk=machine.pk)
        observe(machine, reading_of(detail), began_at=began_at, now=timezone.now(), account=account)


def derive_missing(now: datetime) -> int:
    """Open the job of every unmet wish that has none: the sweep that makes lost steps good."""
    unmet = Instance.objects.managed().not_ended().filter(met_at=None).exclude(wanted="")
    idle = unmet.exclude(jobs__state__in=OPEN_STATES)
    if not idle.exists():
        return 0
    opened, aside = 0, SetAside("next step", now=now)
    for found in idle.select_related("machine").defer("envs", "machine__connection"):
        if not needs_job(found):
            continue  # it waits for Novita, and no lock is taken for that
        with aside.around(found), transaction.atomic():
            instance = locked_instance(found.pk)
            if derive_job(instance, now=now) is not None:
                refresh_phase(instance, now=now)
                opened += 1
    return opened
