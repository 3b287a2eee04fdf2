"""Taking a machine found at Novita into our care, and handing one back. Neither writes to Novita."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from instances import health_checks
from instances.events import Actor, record
from instances.lifecycle import Observed, shows, wish_shown_by
from instances.models import Event, Instance
from instances.models.instance import AutoStopMode, LocalData
from instances.operations.refusals import JobOpen, NameTaken, Unmanaged, WrongPhase
from instances.operations.wishes import locked_instance
from instances.phases import current_job, refresh_phase

_RELEASED = "instance.released"


def adopt(instance_id: UUID, *, name: str, settings: dict[str, Any], actor: Actor, reason: str, now: datetime) -> Instance:
    """Make it managed: wanted is what is observed, auto-stop observes, the idle clock starts now, its data is precious."""
    with transaction.atomic():
        instance = locked_instance(instance_id)
        if instance.has_ended:
            raise WrongPhase(f"it is {instance.phase}: there is nothing to adopt")
        if instance.managed:
            return instance
        instance.managed, instance.name = True, name
        instance.wanted = wish_shown_by(instance.observed)
        instance.wanted_at = instance.last_used_at = now
        instance.met_at = now if shows(instance.wanted, instance.observed) else None
        instance.wanted_by_kind, instance.wanted_by_name, instance.wanted_reason = (
            actor.kind,
            actor.name,
            reason[:500],
        )
        instance.auto_stop_mode, instance.local_data = AutoStopMode.OBSERVE, LocalData.PRECIOUS
        for column, value in settings.items():
            setattr(instance, column, value)
        try:
            with transaction.atomic():
                instance.save()
        except IntegrityError as error:
            raise NameTaken(f"a managed instance named {name!r} exists: choose another name", field="name") from error
        record(
            "instance.adopted",
            at=now,
            actor=actor,
            instance=instance,
            reason=reason,
            before={"managed": False},
            after={"managed": True, "name": name, "auto_stop_mode": instance.auto_stop_mode},
        )
        if instance.machine is not None and instance.observed is Observed.RUNNING:
            health_checks.begin_checks(instance, instance.machine, now=now)
        refresh_phase(instance, now=now, actor=actor)
        return instance


def release(instance_id: UUID, *, actor: Actor, reason: str, now: datetime) -> Instance:
    """Hand it back: nothing is deleted or stopped, and no rule touches it from now on.

    Raises JobOpen, WrongPhase for one that has ended, and Unmanaged for one that was never in our care.
    """
    with transaction.atomic():
        instance = locked_instance(instance_id)
        if instance.has_ended:
            raise WrongPhase(f"it is {instance.phase}: there is nothing to release")
        if not instance.managed:
            if Event.objects.filter(instance=instance, type=_RELEASED).exists():
                return instance
            raise Unmanaged("it was not made here and nobody has adopted it: there is nothing to release")
        job = current_job(instance)
        if job is not None:
            raise JobOpen(f"its {job.verb} job is open: wait for it or cancel it first")
        instance.managed, instance.wanted, instance.wanted_at, instance.met_at = False, "", None, None
        instance.next_auto_stop_action = None
        instance.save(update_fields=["managed", "wanted", "wanted_at", "met_at", "next_auto_stop_action"])
        record(
            _RELEASED,
            at=now,
            actor=actor,
            instance=instance,
            reason=reason,
            before={"managed": True},
            after={"managed": False},
        )
        health_checks.end_checks(instance)
        refresh_phase(instance, now=now, actor=actor)
        return instance
