"""Errands: restart, edit, migrate, save image. They end when done and change no wish; one job at a time."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from instances.events import Actor
from instances.lifecycle import JobState, Observed, Verb, Wanted
from instances.models import Instance
from instances.operations.jobs import asked_for, end_job, open_job
from instances.operations.refusals import JobOpen, WrongPhase
from instances.operations.wishes import managed_instance
from instances.phases import current_job, refresh_phase

_SETTLED = (Observed.RUNNING, Observed.EXITED)


def request_restart(instance_id: UUID, *, actor: Actor, reason: str, now: datetime) -> Instance:
    return _errand(instance_id, Verb.RESTART, {}, (Observed.RUNNING,), actor=actor, reason=reason, now=now)


def request_edit(
    instance_id: UUID,
    *,
    ports: list[dict[str, Any]] | None = None,
    expand_rootfs_gb: int = 0,
    actor: Actor,
    reason: str,
    now: datetime,
) -> Instance:
    """Replace the exposed ports and/or grow the root disk by so many GB."""
    arguments: dict[str, Any] = {}
    if ports is not None:
        arguments["ports"] = ports
    if expand_rootfs_gb:
        arguments["expand_rootfs_gb"] = expand_rootfs_gb
    return _errand(instance_id, Verb.EDIT, arguments, _SETTLED, actor=actor, reason=reason, now=now)


def request_migrate(instance_id: UUID, *, actor: Actor, reason: str, now: datetime) -> Instance:
    """Move it to another node: the id stays, local disks are lost. Refused while Novita takes it back."""
    with transaction.atomic():
        instance = managed_instance(instance_id)
        if instance.machine and instance.machine.spot_status.lower() in ("notified", "reclaiming"):
            raise WrongPhase("Novita has announced that it takes this spot instance back and refuses to migrate it now")
        return _errand(instance_id, Verb.MIGRATE, {}, _SETTLED, actor=actor, reason=reason, now=now)


def request_save_image(
    instance_id: UUID, *, image: str, registry_auth_id: str = "", actor: Actor, reason: str, now: datetime
) -> Instance:
    """Save the container disk as `registry/repository:tag`."""
    arguments = {"image": image, "registry_auth_id": registry_auth_id}
    return _errand(instance_id, Verb.SAVE_IMAGE, arguments, _SETTLED, actor=actor, reason=reason, now=now)


def _errand(
    instance_id: UUID,
    verb: Verb,
    arguments: dict[str, Any],
    allowed: tuple[Observed, ...],
    *,
    actor: Actor,
    reason: str,
    now: datetime,
) -> Instance:
    with transaction.atomic():
        instance = managed_instance(instance_id)
        job = current_job(instance)
        if job is not None and job.is_about_own_moves and not job.was_called:
            end_job(job, JobState.SUPERSEDED, now=now, instance=instance, actor=actor, reason=reason)  # it comes again
            job = None
        if job is not None:
            if job.verb == verb and asked_for(job) == arguments:
                return instance
            raise JobOpen(f"its {job.verb} job {job.id} is open: wait for it or cancel it")
        if instance.wanted == Wanted.DELETED or instance.observed not in allowed:
            raise WrongPhase(f"it is {instance.phase}: {verb} needs it {' or '.join(allowed)} at Novita")
        open_job(instance, verb, actor=actor, reason=reason, now=now, arguments=arguments)
        refresh_phase(instance, now=now, actor=actor, reason=reason)
        return instance
