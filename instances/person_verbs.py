"""What a person may ask for on a page or in the admin, by the word in its address. All of it goes through operations."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from instances import operations
from instances.events import Actor
from instances.lifecycle import Observed, Wanted
from instances.models import Instance
from instances.operations import Unmanaged, WrongPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonVerb:
    """`ask` takes (instance_id, actor=, reason=, now=) and raises OperationRefused; `asked` is told when it was not."""

    name: str
    label: str
    asked: str
    ask: Callable[..., object]


def keep_awake(instance_id: UUID, *, actor: Actor, reason: str, now: datetime) -> None:
    """Note a use just now: its idle time starts again."""
    instance = Instance.objects.only("id", "managed", "ended_at", "phase").get(pk=instance_id)
    if not instance.managed:
        raise Unmanaged("it was not made here and no rule touches it: there is nothing to keep awake")
    if instance.has_ended:
        raise WrongPhase(f"it is {instance.phase}: there is nothing to keep awake")
    operations.record_use(instance_id, at=now, actor=actor, now=now)


def adopt(instance_id: UUID, *, actor: Actor, reason: str, now: datetime) -> None:
    """Adopt it under the name it has at Novita, or the nearest one that is possible and free."""
    operations.adopt(instance_id, settings={}, actor=actor, reason=reason, now=now, take_proposed=True)


VERBS = {
    verb.name: verb
    for verb in (
        PersonVerb(name="start", label="Start", asked="asked to start", ask=operations.request_start),
        PersonVerb(name="stop", label="Stop", asked="asked to stop", ask=operations.request_stop),
        PersonVerb(name="restart", label="Restart", asked="asked to restart", ask=operations.request_restart),
        PersonVerb(name="migrate", label="Move to another node", asked="asked to move", ask=operations.request_migrate),
        PersonVerb(name="keep-awake", label="Keep awake", asked="kept awake: its idle time starts again", ask=keep_awake),
        PersonVerb(name="adopt", label="Adopt", asked="adopted; auto-stop only observes it", ask=adopt),
        PersonVerb(name="release", label="Release", asked="released: nothing here touches it", ask=operations.release),
        PersonVerb(name="delete", label="Delete", asked="asked to delete", ask=operations.request_delete),
    )
}


def offered(instance: Instance) -> tuple[str, ...]:
    """The verbs that make sense for it now; asking for another one is refused with the reason."""
    if instance.has_ended:
        return ()
    if not instance.managed:
        return ("adopt",)
    if instance.wanted == Wanted.DELETED:
        return ()
    names = []
    if instance.wanted != Wanted.RUNNING or instance.observed is Observed.EXITED:
        names.append("start")
    if instance.wanted != Wanted.STOPPED:
        names.append("stop")
    if instance.observed is Observed.RUNNING:
        names += ["restart", "keep-awake"] if instance.open_job is None else ["keep-awake"]
    if instance.open_job is None:
        names.append("release")
    return (*names, "delete") if not instance.protected else tuple(names)
