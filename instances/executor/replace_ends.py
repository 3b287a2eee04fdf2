"""The ends of a replacement: the new one takes over, and one of the two is let go. Each proven anew under the lock."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from instances import health_checks
from instances.alarms import raise_alarm
from instances.attempts import SURPLUS, note_surplus
from instances.events import SYSTEM, record
from instances.executor import outcomes
from instances.executor.claims import lease, may_call, store
from instances.executor.replace_facts import still
from instances.executor.replace_steps import WAIT_EVERY, ReplaceAct, ReplaceStep
from instances.executor.steps import Act, Step, doublings
from instances.failpoints import reach
from instances.lifecycle import Observed
from instances.models import Instance, Job, Machine
from instances.moves import place_of
from instances.novita.client import Novita
from instances.novita.errors import AuthFailed, NotFound, NovitaError, Unavailable
from instances.operations.wishes import locked_instance
from instances.phases import refresh_phase
from instances.vouching import locked_account

ENDS = {ReplaceAct.SUCCEED: Act.SUCCEED, ReplaceAct.FAIL: Act.FAIL, ReplaceAct.SUPERSEDE: Act.SUPERSEDE}


def swap(job: Job, old: Machine, new: Machine) -> None:
    """The new one is what people reach from now on; it was proven ready a moment ago."""
    now = timezone.now()
    with transaction.atomic():
        locked_account()
        fresh = locked_instance(job.instance_id)
        new.refresh_from_db()
        held = still(job, fresh, ReplaceAct.SWAP, well=True, now=now)
        if not held or not store(job, arguments={**job.arguments, "swapped": True}, lease_until=None, next_attempt_at=now):
            store(job, lease_until=None, next_attempt_at=now)
            return
        fresh.machine, fresh.met_at, fresh.failure = new, now, ""
        fresh.save(update_fields=["machine", "met_at", "failure"])
        health_checks.take_proof(fresh, new, now=now)
        record(
            "instance.replaced",
            at=now,
            actor=SYSTEM,
            instance=fresh,
            job=job,
            reason="the new machine is proven ready: it takes the old one's place",
            before=place_of(old),
            after=place_of(new),
        )
        refresh_phase(fresh, now=now)
    reach("replace.after_swap")


def let_go(job: Job, old: Machine, client: Novita) -> None:
    now = timezone.now()
    with transaction.atomic():
        locked_account()
        fresh = locked_instance(job.instance_id)
        if fresh.machine_id == old.pk or not still(job, fresh, ReplaceAct.LET_GO, now=now):
            store(job, lease_until=None, next_attempt_at=now + WAIT_EVERY)
            return
        lets = int(job.arguments.get("lets", 0)) + 1
        if not store(job, **lease(), arguments={**job.arguments, "lets": lets}):
            return
        Machine.objects.filter(pk=old.pk).update(let_go_at=now)
        reason = f"the new machine is ready: the old one, {old}, is deleted"
        record("instance.old_let_go", at=now, actor=SYSTEM, instance=fresh, job=job, reason=reason, before=place_of(old))
    reach("replace.before_delete")
    if not may_call(job):
        return
    was_asked, detail = _delete(old, client)
    reach("replace.after_delete")
    if not was_asked:
        store(job, arguments={**job.arguments, "lets": lets - 1})  # nothing was asked in vain
    outcomes.wait(job, Step(act=Act.WAIT, reason=f"waits for Novita to show the old one deleted{detail}", at=None), now=now)


def undo(job: Job, new: Machine, step: ReplaceStep, client: Novita) -> None:
    """The new one is of no use: its deletion is asked for until Novita shows it gone, and it stays named until then."""
    now = timezone.now()
    with transaction.atomic():
        locked_account()
        fresh = locked_instance(job.instance_id)
        if not still(job, fresh, ReplaceAct.UNDO, now=now):
            store(job, lease_until=None, next_attempt_at=now + WAIT_EVERY)
            return
        undos = int(job.arguments.get("undos", 0))
        told = {"undone": True, "undone_code": step.code, "undone_reason": step.reason}
        if not store(job, **lease(), arguments={**job.arguments, **told}):
            return
        new.refresh_from_db()
        told_before = new.surplus_since is not None
        new.let_go_at, new.surplus_since = now, new.surplus_since or now
        new.save(update_fields=["let_go_at", "surplus_since"])
        if not told_before:
            place = {"novita_id": new.novita_id}
            record("instance.surplus_found", at=now, actor=SYSTEM, instance=fresh, job=job, reason=step.reason, after=place)
        _name_undone(fresh, new, step.reason, undos, now=now)
    reach("replace.before_delete")
    if not may_call(job):
        return
    was_asked, detail = _delete(new, client)
    reach("replace.after_delete")
    if was_asked:
        store(job, arguments={**job.arguments, "undos": undos + 1})  # what never came back is asked again, and not counted
    reason = f"{step.reason}; waits for Novita to show the new one deleted{detail}"
    outcomes.wait(job, Step(act=Act.WAIT, reason=reason, at=now + WAIT_EVERY), now=now)


def end(job: Job, old: Machine, new: Machine | None, step: ReplaceStep) -> None:
    now = timezone.now()
    if job.arguments.get("undone") and new is not None and new.novita_id:
        with transaction.atomic():
            locked_account()
            fresh = locked_instance(job.instance_id)
            new.refresh_from_db()
            if fresh.machine_id != new.pk and new.observed is not Observed.ABSENT:
                _name_undone(fresh, new, step.reason, int(job.arguments.get("undos", 0)), now=now, asks_again=False)
    if job.arguments.get("swapped") and old.observed is not Observed.ABSENT:
        with transaction.atomic():
            fresh = locked_instance(job.instance_id)
            if fresh.machine_id != old.pk:
                old.refresh_from_db()
                note_surplus(fresh, old, now=now, how=step.reason)
    outcomes.finish(job, Step(act=ENDS[step.act], code=step.code, reason=step.reason), now=now)


def _name_undone(
    instance: Instance, new: Machine, reason: str, undos: int, *, now: datetime, asks_again: bool = True
) -> None:
    """What the new one costs until it is gone, and what is done about it: told anew with each doubling of calls or time."""
    price = new.billed_price_usd_per_hour or new.price_usd_per_hour
    cost = "at a price that Novita has not told" if price is None else f"at ${price.normalize():f} per hour"
    in_vain = f"; asked {undos} times in vain" if undos > 1 and asks_again else ""
    then = "it is asked again, ever more slowly, until it is gone" if asks_again else "nothing here asks again"
    raise_alarm(
        SURPLUS,
        new.novita_id or "",
        text=f"{instance.name} has a second live machine at Novita, {new.novita_id}: it was to replace {instance.name}, and "
        f"{reason}: it is billed {cost} until Novita shows it deleted{in_vain}",
        remedy=f"Delete {new.novita_id} in Novita's console; {then}",
        now=now,
        instance=instance,
        level=max(undos.bit_length(), doublings(now - (new.surplus_since or now))),
    )


def _delete(machine: Machine, client: Novita) -> tuple[bool, str]:
    """Ask once; what came of it is read from Novita, whatever it answers. Whether it was asked, and words for a refusal."""
    try:
        client.delete_instance(machine.novita_id or "")
    except NotFound:
        return True, ""
    except NovitaError as error:
        return not isinstance(error, Unavailable | AuthFailed), f": {error.message}"
    return True, ""
