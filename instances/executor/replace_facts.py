"""The values a replacement is decided by, read from the rows; anew under the row's lock before whatever cannot be undone."""

from dataclasses import replace
from datetime import datetime

from django.conf import settings

from instances.executor.replace_steps import ReplaceAct, ReplaceFacts, next_replace_step
from instances.lifecycle import Observed
from instances.models import Instance, Job, Machine, ProviderAccount, Reclaim
from instances.operations.automation import destruction_hold_reason
from instances.reclaims import ran_since
from instances.stakes import kept_reason


def machines_of(job: Job) -> tuple[Machine, Machine | None]:
    """The old one and the new one of the attempt under way."""
    new = Machine.objects.filter(pk=job.arguments.get("machine")).first()
    return Machine.objects.get(pk=job.arguments["old"]), new


def facts_of(job: Job, instance: Instance, old: Machine, new: Machine | None, *, now: datetime) -> ReplaceFacts:
    account = ProviderAccount.objects.filter(pk=1).first()
    known = new is not None and new.novita_id is not None
    return ReplaceFacts(
        now=now,
        yields=job.yields,
        needed=_is_needed(job, instance, old),
        by_rule=job.is_by_rule,
        attempted=new is not None and new.called_at is not None,
        call_ended_at=job.call_ended_at,
        complete_list_at=account.complete_list_at if account else None,
        new_known=known,
        new=new.observed if new is not None and known else Observed.NOTHING,
        new_details_read=new is not None and new.details_read_at is not None,
        new_is_current=new is not None and instance.machine_id == new.pk,
        ready_by=_ready_by(new),
        swapped=bool(job.arguments.get("swapped")),
        kept=kept_reason(instance),
        held=destruction_hold_reason(now) or _doubted(old, new),
        old=old.observed,
        lets=int(job.arguments.get("lets", 0)),
        let_go_at=old.let_go_at,
        undone=bool(job.arguments.get("undone")),
        undone_code=job.arguments.get("undone_code", ""),
        undone_reason=job.arguments.get("undone_reason", ""),
        undos=int(job.arguments.get("undos", 0)),
        undo_at=new.let_go_at if new is not None else None,
        settle=settings.SETTLE_PERIOD,
    )


def still(job: Job, fresh: Instance, act: ReplaceAct, *, well: bool = False, now: datetime) -> bool:
    """Whether this is what follows from the rows as they are under the lock of `fresh`; the job's are read anew too."""
    job.refresh_from_db(fields=["arguments", "yields"])
    old, new = machines_of(job)
    return next_replace_step(replace(facts_of(job, fresh, old, new, now=now), new_is_well=well)).act is act


def _is_needed(job: Job, instance: Instance, old: Machine) -> bool:
    """Its reclaim is open, its machine is the one to be replaced, and that did not run again since it was taken."""
    if instance.machine_id != old.pk:
        return False
    reclaim = Reclaim.objects.filter(pk=job.arguments.get("reclaim")).first()
    if reclaim is None or reclaim.taken_at is None:
        return reclaim is None or reclaim.is_open
    return reclaim.is_open and not ran_since(reclaim) and old.observed is not Observed.RUNNING


def _doubted(old: Machine, new: Machine | None) -> str:
    doubted = old.unverified_since or (new is not None and new.unverified_since)
    return "Novita's lists lack one of the two and are not believed yet" if doubted else ""


def _ready_by(new: Machine | None) -> datetime | None:
    if new is None or new.called_at is None:
        return None
    return new.called_at + settings.INSTANCE_STARTUP_TIMEOUT + settings.INSTANCE_PULL_TIMEOUT
