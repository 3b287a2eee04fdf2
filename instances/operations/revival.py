"""Bringing back what was wanted running and was taken away: the wish stands, and is pursued again."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from instances.events import Actor, record
from instances.lifecycle import Observed, Verb, Wanted
from instances.models import Instance
from instances.operations.jobs import open_job
from instances.operations.refusals import WrongPhase
from instances.operations.wishes import managed_instance
from instances.phases import current_job, refresh_phase

PATIENCE = timedelta(days=30)  # the owner wants it running: a start refused for capacity is tried again and again


def request_revival(instance_id: UUID, *, actor: Actor, reason: str, now: datetime) -> Instance:
    """Start a stopped machine whose instance is wanted running. Raises WrongPhase where that is not so any more."""
    with transaction.atomic():
        instance = managed_instance(instance_id)
        if instance.wanted != Wanted.RUNNING or instance.observed is not Observed.EXITED:
            raise WrongPhase("it is not a stopped instance that is wanted running")
        if current_job(instance) is not None:
            return instance
        instance.met_at = None
        instance.save(update_fields=["met_at"])
        record("instance.revival_requested", at=now, actor=actor, instance=instance, reason=reason)
        open_job(instance, Verb.START, actor=actor, reason=reason, now=now, patience_until=now + PATIENCE)
        refresh_phase(instance, now=now, actor=actor, reason=reason)
        return instance
