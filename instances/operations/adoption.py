"""Taking a machine found at Novita into our care, and handing one back. Neither writes to Novita."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from instances import health_checks
from instances.events import Actor, record
from instances.lifecycle import Observed, wish_shown_by
from instances.models import Event, Instance
from instances.models.instance import AutoStopMode, LocalData
from instances.naming import is_possible, proposed_name
from instances.operations.refusals import JobOpen, NameRequired, NameTaken, Unmanaged, WrongPhase
from instances.operations.wishes import locked_instance
from instances.phases import current_job, refresh_phase

_RELEASED = "instance.released"


# Request columns that an adopted one takes from what is observed: what a start, an edit or a move builds on.
_TAKEN_OVER = ("product_name", "product_id", "gpu_num", "rootfs_size_gb", "billing_mode", "image_url", "ports")


def adopt(
    instance_id: UUID,
    *,
    name: str = "",
    settings: dict[str, Any],
    actor: Actor,
    reason: str,
    now: datetime,
    take_proposed: bool = False,
) -> Instance:
    """Make it managed: wanted is what is observed, auto-stop observes, the idle clock starts now, its data is precious.

    Nothing is pursued: what one that is on its way comes to is news, and becomes what is wanted.
    Without a name it keeps the one it has at Novita. Raises NameTaken or NameRequired, with a name to propose, where that
    will not do; `take_proposed` takes the proposal instead.
    """
    with transaction.atomic():
        instance = locked_instance(instance_id)
        if instance.has_ended:
            raise WrongPhase(f"it is {instance.phase}: there is nothing to adopt")
        if instance.managed:
            return instance
        name = _name_for(instance, name, take_proposed=take_proposed)
        _take_into_care(instance, name, settings, actor=actor, reason=reason, now=now)
        try:
            with transaction.atomic():
                instance.save()
        except IntegrityError as error:
            raise _name_taken(instance, name) from error
        record(
            "instance.adopted",
            at=now,
            actor=actor,
            instance=instance,
            reason=reason,
            before={"managed": False},
            after={"managed": True, "name": name, "wanted": instance.wanted, "auto_stop_mode": instance.auto_stop_mode},
        )
        if instance.machine is not None and instance.observed is Observed.RUNNING:
            health_checks.begin_checks(instance, instance.machine, now=now)
        refresh_phase(instance, now=now, actor=actor)
        return instance


def _take_into_care(
    instance: Instance, name: str, settings: dict[str, Any], *, actor: Actor, reason: str, now: datetime
) -> None:
    instance.managed, instance.name = True, name
    instance.wanted = wish_shown_by(instance.observed)
    instance.last_used_at = now
    # Met whatever it is on its way to: nobody asked for anything, so that no job may come of what it does next.
    instance.wanted_at = instance.met_at = now if instance.wanted else None
    instance.shown_at = None
    instance.wanted_by_kind, instance.wanted_by_name, instance.wanted_reason = actor.kind, actor.name, reason[:500]
    instance.auto_stop_mode, instance.local_data = AutoStopMode.OBSERVE, LocalData.PRECIOUS
    for column in _TAKEN_OVER:
        shown = getattr(instance.machine, column, None)
        if shown:
            setattr(instance, column, shown)
    for column, value in settings.items():
        setattr(instance, column, value)


def _name_for(instance: Instance, name: str, *, take_proposed: bool) -> str:
    wish = name or instance.name
    if not is_possible(wish):
        if not take_proposed:
            proposal = _proposal(instance, wish)
            text = f"its name at Novita, {wish!r}, cannot be kept: write another, such as {proposal}"
            raise NameRequired(text, field="name", more={"proposed_name": proposal})
        return _proposal(instance, wish)
    if not _taken(wish):
        return wish
    if not take_proposed:
        raise _name_taken(instance, wish)
    return _proposal(instance, wish)


def _name_taken(instance: Instance, name: str) -> NameTaken:
    proposal = _proposal(instance, name)
    text = f"a managed instance named {name!r} exists: choose another name, such as {proposal}"
    return NameTaken(text, field="name", more={"proposed_name": proposal})


def _taken(name: str) -> bool:
    return Instance.objects.managed().not_ended().filter(name__iexact=name).exists()


def name_to_propose(instance: Instance) -> str:
    """A name for it that is possible and free, as near to the one it has at Novita as may be."""
    return _proposal(instance, instance.name) if not is_possible(instance.name) or _taken(instance.name) else instance.name


def _proposal(instance: Instance, wish: str) -> str:
    machine = instance.machine
    names = Instance.objects.managed().not_ended().values_list("name", flat=True)
    return proposed_name(
        wish,
        product=machine.product_name if machine else "",
        novita_id=(machine.novita_id if machine else None) or "",
        taken={one.lower() for one in names},
    )


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
        instance.next_auto_stop_action = instance.shown_at = None
        instance.save(update_fields=["managed", "wanted", "wanted_at", "shown_at", "met_at", "next_auto_stop_action"])
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
