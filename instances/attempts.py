"""What a create attempt turns out to have made: the instance's machine, or one too many."""

from datetime import datetime, timedelta

from django.db import transaction

from instances.alarms import raise_alarm
from instances.discovery import hand_over
from instances.events import SYSTEM, record
from instances.lifecycle import Verb
from instances.models import Instance, Job, Machine
from instances.operations.wishes import locked_instance
from instances.phases import current_job, refresh_phase
from instances.vouching import locked_account

SURPLUS = "surplus_machine"  # the alarm, by Novita's id


def resolve_attempt(machine: Machine, novita_id: str, *, now: datetime, how: str) -> bool:
    """A create attempt turned out to have made this machine: store its id. False where it has an id, or somebody adopted it.

    It becomes its instance's machine unless another one lives: then it is surplus, named and alarmed, and touched by
    nothing here.
    """
    instance = locked_instance(machine.instance_id)
    if machine.novita_id is not None or not hand_over(novita_id, instance):
        return False
    machine.novita_id = novita_id
    current, job = instance.machine, current_job(instance)
    expected = is_in_hand(job, machine)
    other = current is not None and current.pk != machine.pk and current.absent_at is None and current.novita_id is not None
    machine.given_up_at = None
    machine.save(update_fields=["novita_id", "given_up_at"])
    if other and not expected:
        note_surplus(instance, machine, now=now, how=how)
        return True
    type_ = "instance.replacement_created" if expected else "instance.created"
    record(type_, at=now, actor=SYSTEM, instance=instance, job=job, reason=how, after={"novita_id": novita_id})
    if expected:
        return True
    if instance.machine_id != machine.pk or instance.given_up:
        instance.machine, instance.given_up = machine, False
        instance.save(update_fields=["machine", "given_up"])
    refresh_phase(instance, now=now)
    return True


def is_in_hand(job: Job | None, machine: Machine) -> bool:
    """Whether a replacement that is under way had this one made, or lets it go."""
    return (
        job is not None
        and job.verb == Verb.REPLACE
        and machine.pk in (job.arguments.get("machine"), job.arguments.get("old"))
    )


def note_surplus(instance: Instance, machine: Machine, *, now: datetime, how: str) -> None:
    """A machine beside the one its instance has: named and alarmed, proposed for deletion, deleted by nothing here."""
    if machine.surplus_since is None:
        machine.surplus_since = now
        machine.save(update_fields=["surplus_since"])
    record(
        "instance.surplus_found", at=now, actor=SYSTEM, instance=instance, reason=how, after={"novita_id": machine.novita_id}
    )
    tell_surplus(instance, machine, now=now, how=how)


def note_if_surplus(machine_id: int, *, now: datetime, how: str) -> None:
    """The same for one that is billed and that nobody named, judged by the rows as they are under their locks."""
    with transaction.atomic():
        locked_account()
        machine = Machine.objects.select_related("instance").get(pk=machine_id)
        instance = locked_instance(machine.instance_id)
        former = instance.machine_id != machine.pk and machine.billed_since is not None
        if former and not is_in_hand(current_job(instance), machine):
            note_surplus(instance, machine, now=now, how=how)


def tell_surplus(instance: Instance, machine: Machine, *, now: datetime, how: str, repeat: timedelta | None = None) -> None:
    name = instance.name or str(instance.pk)
    has = f"{name}, which is {instance.phase}, has a" if instance.has_ended else f"{name} has a second"
    raise_alarm(
        SURPLUS,
        machine.novita_id or "",
        text=f"{has} live machine at Novita, {machine.novita_id}: {how}",
        remedy=f"Delete {machine.novita_id} in Novita's console unless you need it: nothing here touches it",
        now=now,
        instance=instance,
        repeat=repeat,
    )
