"""One verb for many instances, with a result for each. A rehearsal carries everything out and takes it back."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from instances.events import Actor
from instances.lifecycle import Observed, Phase, Wanted
from instances.models import Instance
from instances.operations import OperationRefused
from instances.phases import current_job

_STANDING = (Observed.EXITED, Observed.ABSENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`code` is accepted, unchanged, or why it was refused. `job_id` is the open job's, "" where there is none."""

    ok: bool
    code: str
    detail: str
    job_id: str = ""


def ask_one(
    verb: str,
    ask: Callable[..., object],
    instance: Instance,
    *,
    actor: Actor,
    reason: str,
    now: datetime,
    dry_run: bool,
) -> Asked:
    """Ask for the verb of one instance; a refusal is an answer."""
    job_before, wanted_before = open_job_id(instance), instance.wanted
    try:
        with transaction.atomic():
            ask(instance.pk, actor=actor, reason=reason, now=now)
            after = Instance.objects.only("id", "wanted", "managed", "last_used_at").get(pk=instance.pk)
            job = open_job_id(after)
            if dry_run:
                transaction.set_rollback(True)
    except OperationRefused as refusal:
        return Asked(ok=False, code=refusal.code, detail=refusal.detail)
    changed = job != job_before or (after.wanted, after.managed) != (wanted_before, instance.managed)
    code, detail = ("accepted", f"{verb} is asked for") if changed else ("unchanged", "it is so already or on its way")
    # What a rehearsal opened exists no more.
    return Asked(ok=True, code=code, detail=detail, job_id=job_before if dry_run else job)


def stands(instance: Instance) -> bool:
    """Whether there is nothing to stop: stopped and wanted so, failed without a machine, or on its way out."""
    if instance.wanted == Wanted.DELETED:
        return True
    given_up = instance.phase == Phase.FAILED and instance.observed is Observed.NOTHING
    return given_up or (instance.observed in _STANDING and instance.wanted != Wanted.RUNNING)


def open_job_id(instance: Instance) -> str:
    job = current_job(instance)
    return str(job.pk) if job else ""
