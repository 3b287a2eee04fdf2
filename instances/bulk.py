"""One verb for many instances, with a result for each. A rehearsal carries everything out and takes it back."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from instances.events import Actor
from instances.lifecycle import Observed, Phase, Wanted
from instances.models import Instance
from instances.operations import ChangedMeanwhile, OperationRefused, Protected
from instances.phases import current_job

SKIPPED = "it is protected: stop it by itself"
_STANDING = (Observed.EXITED, Observed.ABSENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What many were chosen by, with their machines; whether the protected are skipped.

    Others act between the choice and the turn of each, so that it is judged again under the lock of its row.
    """

    among: QuerySet[Instance]
    skips_protected: bool = False

    def judge_again(self, instance_id: UUID) -> Instance:
        """The row as it is now, locked for this transaction. Raises ChangedMeanwhile, Protected."""
        instance = self.among.select_for_update(of=("self",)).filter(pk=instance_id).first()
        if instance is None:
            raise ChangedMeanwhile("it changed after it was chosen and fits the choice no longer: nothing was asked of it")
        if self.skips_protected and instance.protected:
            raise Protected(SKIPPED)
        return instance


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
    choice: Choice | None = None,
) -> Asked:
    """Ask for the verb of one instance, if its choice still holds; a refusal is an answer. Without one it was named."""
    try:
        with transaction.atomic():
            if choice is not None:
                instance = choice.judge_again(instance.pk)
            job_before, wanted_before = open_job_id(instance), instance.wanted
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
