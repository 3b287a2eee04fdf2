"""What a reclaim may ask for: the wish stands, and is pursued again by other means. Each writes its try on the record."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Max

from instances.events import Actor, record
from instances.lifecycle import JobState, Observed, Verb, Wanted
from instances.models import Instance, Job, Machine, Reclaim
from instances.models.reclaim import OPEN_RECLAIMS
from instances.operations.jobs import START_PATIENCE, open_job
from instances.operations.refusals import JobOpen, Protected, WrongPhase
from instances.operations.wishes import locked_instance, managed_instance
from instances.phases import current_job, refresh_phase
from instances.reclaims import begin_try, is_taken

CREATE_PATIENCE = timedelta(days=30)  # the owner wants it running: a create refused for capacity is tried again and again
COMES_UP = timedelta(seconds=30)  # Novita takes no spot instance back in its first hour
_FIRST_GAP, _FAILURES_COUNT_FOR = timedelta(minutes=15), timedelta(days=1)
AUTO_MIGRATE_OFF = "Novita does not move it by itself from now on: what becomes of a reclaim is decided here"


def request_revival(reclaim: Reclaim, verb: Verb, *, actor: Actor, reason: str, now: datetime, **arguments: Any) -> Job:
    """Start, migrate, replace, or save the image of the reclaim's machine, once.

    Raises OperationRefused where that may not be any more: not wanted running, another job open, protected.
    """
    with transaction.atomic():
        instance = managed_instance(reclaim.instance_id)
        held = Reclaim.objects.select_for_update().get(pk=reclaim.pk)
        _refuse(instance, held, verb)
        if verb is Verb.START:
            instance.met_at = None  # so that the read that shows it running ends the job
            instance.save(update_fields=["met_at"])
        if verb is Verb.REPLACE:
            arguments["old"] = instance.machine_id
        record(
            "instance.revival_requested", at=now, actor=actor, instance=instance, reason=reason, after={"verb": str(verb)}
        )
        patience = now + START_PATIENCE if verb is Verb.START else None
        job = open_job(
            instance,
            verb,
            actor=actor,
            reason=reason,
            now=now,
            arguments={"reclaim": held.pk, **arguments},
            patience_until=patience,
        )
        begin_try(held, job, now=now)
        refresh_phase(instance, now=now, actor=actor, reason=reason)
        return job


def request_recreation(reclaim: Reclaim, *, max_price: Decimal | None, actor: Actor, reason: str, now: datetime) -> Job:
    """Make it anew: Novita lost its machine in a move that was to bring it back. Raises OperationRefused."""
    with transaction.atomic():
        instance = locked_instance(reclaim.instance_id)
        held = Reclaim.objects.select_for_update().get(pk=reclaim.pk)
        if not held.is_open or instance.wanted != Wanted.RUNNING or instance.observed is not Observed.ABSENT:
            raise WrongPhase("it is not lost, or not wanted running any more")
        if instance.protected:
            raise Protected("it is protected: rules make nothing anew for it")
        if current_job(instance) is not None:
            raise JobOpen("a job of it is open")
        instance.machine, instance.met_at, instance.given_up = None, None, False
        instance.save(update_fields=["machine", "met_at", "given_up"])
        record("instance.revival_requested", at=now, actor=actor, instance=instance, reason=reason, after={"verb": "create"})
        arguments: dict[str, Any] = {"reclaim": held.pk}
        if max_price is not None:
            arguments["max_price"] = str(max_price)
        job = open_job(
            instance,
            Verb.CREATE,
            actor=actor,
            reason=reason,
            now=now,
            arguments=arguments,
            patience_until=now + CREATE_PATIENCE,
        )
        begin_try(held, job, now=now)
        refresh_phase(instance, now=now, actor=actor, reason=reason)
        return job


def request_auto_migrate_off(instance_id: UUID, *, actor: Actor, now: datetime) -> Job | None:
    """Switch Novita's own moving off for one made here; None where that was done, or something else is under way."""
    with transaction.atomic():
        instance = managed_instance(instance_id)
        machine = instance.machine
        ours = machine is not None and (machine.correlation_id is not None or machine.replaces_id is not None)
        if machine is None or not ours or machine.auto_migrate_off_at is not None or current_job(instance) is not None:
            return None
        job = open_job(instance, Verb.EDIT, actor=actor, reason=AUTO_MIGRATE_OFF, now=now, arguments={"auto_migrate": False})
        refresh_phase(instance, now=now, actor=actor)
        return job


def auto_migrate_due(limit: int, *, now: datetime) -> list[UUID]:
    """Instances made here whose machine Novita may still move by itself, once they have come up and nothing is in hand."""
    machines = Machine.objects.known().filter(
        correlation_id__isnull=False,
        auto_migrate_off_at=None,
        billing_mode="spot",
        status__iexact="running",
        running_since__lte=now - COMES_UP,
        current_of__managed=True,
    )
    busy = Job.objects.filter(state__in=[JobState.QUEUED, JobState.CLAIMED, JobState.SENT, JobState.CONFIRMING])
    reclaims = Reclaim.objects.filter(state__in=OPEN_RECLAIMS)  # nothing stands in the way of bringing it back
    free = machines.exclude(current_of__in=busy.values("instance_id")).exclude(current_of__in=reclaims.values("instance_id"))
    due = free.values_list("current_of__pk", flat=True)
    return list(due.exclude(current_of__in=_refused_lately(now))[:limit]) if due.exists() else []


def _refused_lately(now: datetime) -> list[UUID]:
    """Those whose switch failed: asked again after a quarter of an hour, and at gaps that double."""
    failed = Job.objects.filter(verb=Verb.EDIT, arguments__has_key="auto_migrate", state=JobState.FAILED)
    of_a_day = failed.filter(finished_at__gt=now - _FAILURES_COUNT_FOR).values("instance_id")
    rows = of_a_day.annotate(times=Count("id"), last=Max("finished_at"))
    return [row["instance_id"] for row in rows if now - row["last"] < _FIRST_GAP * 2 ** (row["times"] - 1)]


def _refuse(instance: Instance, reclaim: Reclaim, verb: Verb) -> None:
    if not reclaim.is_open:
        raise WrongPhase("the reclaim is over")
    if instance.wanted != Wanted.RUNNING:
        raise WrongPhase("it is not wanted running")
    if verb is not Verb.START and verb is not Verb.SAVE_IMAGE and instance.protected:
        raise Protected("it is protected: rules neither move nor replace it")
    if current_job(instance) is not None:
        raise JobOpen("a job of it is open")
    if verb in (Verb.START, Verb.MIGRATE) and not is_taken(instance):
        raise WrongPhase("Novita does not show it taken back any more")
