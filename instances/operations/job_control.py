"""Cancelling a job that was not sent yet, and trying a failed one again."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from instances.events import Actor, record
from instances.lifecycle import JobState, Observed, Verb, Wanted
from instances.models import Instance, Job
from instances.operations.jobs import (
    asked_for,
    derive_job,
    end_job,
    end_wish,
    open_job,
    patience_of,
    pursues_wish,
    write_wish,
)
from instances.operations.refusals import JobOpen, JobSent, NameTaken, Unmanaged, WrongPhase
from instances.operations.wishes import locked_instance
from instances.phases import current_job, refresh_phase

_WISH_OF_RETRY = {Verb.CREATE: Wanted.RUNNING, Verb.START: Wanted.RUNNING}


def cancel_job(job_id: UUID, *, actor: Actor, reason: str, now: datetime) -> Job:
    """End a job before its first call; its wish ends with it. Raises JobSent once Novita was asked."""
    with transaction.atomic():
        instance = locked_instance(Job.objects.values_list("instance_id", flat=True).get(pk=job_id))
        job = Job.objects.select_for_update().get(pk=job_id)
        if job.state == JobState.CANCELLED:
            return job
        if not job.is_open:
            raise WrongPhase(f"the job has {job.state} already")
        if job.was_called:
            raise JobSent("Novita was asked already: ask for the opposite instead")
        end_job(job, JobState.CANCELLED, now=now, instance=instance, actor=actor, reason=reason or "cancelled")
        if pursues_wish(job, instance):
            end_wish(instance, now=now, actor=actor, reason=reason or f"its {job.verb} was cancelled")
        else:
            derive_job(instance, now=now)
        refresh_phase(instance, now=now, actor=actor)
        return job


def retry_job(job_id: UUID, *, actor: Actor, reason: str, now: datetime) -> Job:
    """Open the same job again after it failed. Raises JobOpen, WrongPhase, or NameTaken for a create whose name went."""
    with transaction.atomic():
        instance = locked_instance(Job.objects.values_list("instance_id", flat=True).get(pk=job_id))
        failed = Job.objects.get(pk=job_id)
        if not instance.managed:
            raise Unmanaged("it was released: adopt it first")
        if failed.state != JobState.FAILED:
            raise WrongPhase(f"the job is {failed.state}: only a failed one can be tried again")
        if current_job(instance) is not None:
            raise JobOpen("another job of this instance is open")
        _revive(instance, Verb(failed.verb), actor=actor, reason=reason, now=now)
        job = open_job(
            instance,
            Verb(failed.verb),
            actor=actor,
            reason=reason or failed.reason,
            now=now,
            arguments=asked_for(failed),
            patience_until=patience_of(instance, Verb(failed.verb), now),
        )
        refresh_phase(instance, now=now, actor=actor, reason=reason)
        return job


def _revive(instance: Instance, verb: Verb, *, actor: Actor, reason: str, now: datetime) -> None:
    wanted = _WISH_OF_RETRY.get(verb)
    if verb is Verb.CREATE and instance.observed is not Observed.NOTHING:
        raise WrongPhase("something of it exists at Novita: start it or delete it instead")
    if verb is not Verb.CREATE and instance.has_ended:
        raise WrongPhase(f"it is {instance.phase}: nothing can be asked of it")
    if instance.wanted == Wanted.DELETED:
        raise WrongPhase("it is being deleted")
    if wanted is None:
        return
    fresh = {"given_up": False, "failure": "", "ended_at": None}
    try:
        with transaction.atomic():
            write_wish(instance, wanted, actor=actor, reason=reason, now=now, met_at=None, **fresh)
    except IntegrityError as error:
        raise NameTaken(f"another managed instance is named {instance.name!r} by now", field="name") from error
    record(
        f"instance.{wanted}_wanted",
        at=now,
        actor=actor,
        instance=instance,
        reason=reason,
        after={"wanted": str(wanted)},
    )
