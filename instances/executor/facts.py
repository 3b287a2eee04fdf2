"""The values `next_step` decides by, read from the rows."""

from datetime import datetime
from typing import Any

from django.conf import settings

from instances.executor.steps import JobFacts
from instances.lifecycle import Observed, Verb
from instances.models import Instance, Job, Machine, ProviderAccount
from instances.operations.jobs import PORTS_BEFORE
from instances.vouching import effective_observed_at


def facts_of(job: Job, instance: Instance, *, now: datetime, provider_job: str = "") -> JobFacts:
    machine = instance.machine
    account = ProviderAccount.objects.filter(pk=1).first()
    return JobFacts(
        verb=Verb(job.verb),
        now=now,
        called=job.was_called,
        outcome=job.call_outcome,
        call_ended_at=job.call_ended_at,
        attempts=job.attempts,
        yields=job.yields,
        patience_until=job.patience_until,
        met=instance.met,
        machine_known=machine is not None and machine.novita_id is not None,
        observed=instance.observed,
        observed_at=effective_observed_at(machine, account) if machine else None,
        status_error=machine.status_error if machine else "",
        shown=machine is not None and _shown(job, instance, machine, account, now),
        repeats="rootfs_size_gb" in job.arguments,
        created_at=job.created_at,
        ran_anew=machine is not None and _ran_anew(job, machine),
        provider_job=provider_job,
        complete_list_at=account.complete_list_at if account else None,
        settle=settings.SETTLE_PERIOD,
    )


def _shown(job: Job, instance: Instance, machine: Machine, account: ProviderAccount | None, now: datetime) -> bool:
    """Whether a read begun after the call shows that an errand was done; before its call, whether it was done already."""
    if job.is_about_own_moves:
        return job.call_outcome == "accepted"  # no read tells of it, and Novita's word is all there is
    if job.verb == Verb.EDIT and not job.was_called:
        return _edited(job, instance, machine)
    seen_at = effective_observed_at(machine, account)
    if job.call_ended_at is None or seen_at is None or not job.call_ended_at < seen_at <= now:
        return False
    if job.verb == Verb.EDIT:
        return _edited(job, instance, machine)
    if job.verb == Verb.RESTART:
        # One that Novita took may be over between two reads; whether it took one without an answer, only a new run tells.
        is_over = job.call_outcome == "accepted" and seen_at > job.call_ended_at + settings.SETTLE_PERIOD
        return machine.observed is Observed.RUNNING and (is_over or _ran_anew(job, machine))
    return job.verb == Verb.MIGRATE and machine.observed is Observed.RUNNING and _ran_anew(job, machine)


def _ran_anew(job: Job, machine: Machine) -> bool:
    """It was seen to leave running and come back after the call, or Novita's own time of the last start says so."""
    if job.called_at is None:
        return False
    seen = machine.running_since is not None and machine.running_since > job.called_at
    told = machine.started_at is not None and machine.started_at > job.called_at
    return seen or told


def _edited(job: Job, instance: Instance, machine: Machine) -> bool:
    wanted = job.arguments.get("ports")
    if wanted is not None:
        shown, before = _pairs(machine.ports), _pairs(job.arguments.get(PORTS_BEFORE, machine.ports))
        # Ports that Novita adds for tools of its own may stand beside those asked for, and none that was to go.
        to_go = before - _pairs(wanted) - _pairs(instance.tools)
        if not _pairs(wanted) <= shown or to_go & shown:
            return False
    return machine.rootfs_size_gb >= int(job.arguments.get("rootfs_size_gb", 0))


def _pairs(ports: list[dict[str, Any]]) -> set[tuple[int, str]]:
    return {(one["port"], one["type"]) for one in ports}
