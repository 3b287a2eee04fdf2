"""Leases of jobs: one conditional UPDATE claims, and every outcome is stored only while the claim still holds.

A stale worker's verdict is dropped; a fact it brings (an id at Novita) is stored by whoever learns it.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from instances.lifecycle import NEVER_FAIL, OPEN_STATES, JobState
from instances.models import Job
from instances.periodic import our_leases, process_name

# A lease outlives both time-outs of its call by ten seconds, and a write held up for five is not sent any more: neither by
# the client, nor by a worker that hung between its intent and the call.
_SPARE = timedelta(seconds=5)
_FIRST = Case(When(verb__in=NEVER_FAIL, then=Value(0)), default=Value(1))


def due_jobs(now: datetime, limit: int) -> list[UUID]:
    """Ids of jobs to look at now, what ends a bill first."""
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    due = Job.objects.filter(free, state__in=OPEN_STATES, next_attempt_at__lte=now)
    return list(due.order_by(_FIRST, "next_attempt_at").values_list("pk", flat=True)[:limit])


def claim(job_id: UUID, now: datetime) -> Job | None:
    """The job with a fresh lease and fence, or None where somebody else has it or it is not due.

    A job found in `sent` belongs to a worker that died in its call: what came of the call is unclear, and the call had
    ended before the lease did, since a lease outlives every call.
    """
    job = Job.objects.filter(pk=job_id, state__in=OPEN_STATES, next_attempt_at__lte=now).first()
    if job is None or (job.lease_until is not None and job.lease_until > now):
        return None
    changes: dict[str, Any] = {
        "lease_owner": process_name(),
        "lease_until": now + settings.JOB_LEASE,
        "fence": F("fence") + 1,
    }
    if job.state == JobState.QUEUED:
        changes["state"] = JobState.CLAIMED
    elif job.state == JobState.SENT:
        ended_at = min(now, job.lease_until - _SPARE) if job.lease_until else now
        changes |= {"state": JobState.CONFIRMING, "call_outcome": "unclear", "call_ended_at": ended_at}
    won = Job.objects.filter(pk=job_id, fence=job.fence, state=job.state).update(**changes)
    if not won:
        return None
    job.refresh_from_db()
    return job


def lease() -> dict[str, Any]:
    """A whole lease from now on: what a call gets, so that nobody takes the job over while it may still be under way."""
    return {"lease_until": timezone.now() + settings.JOB_LEASE}


def may_call(job: Job) -> bool:
    """Whether the call may still begin: begun later it could outlive its lease, and others judge it once that lapses.

    Nothing is stored where it may not: what came of it is found out as of a worker that died in its call.
    """
    return job.lease_until is not None and timezone.now() <= job.lease_until - settings.JOB_LEASE + _SPARE


def give_back(now: datetime) -> int:
    """At the end of this process: let others take up at once the jobs it holds. How many.

    One whose call is under way keeps its lease, which outlives the call: nobody may judge it before.
    """
    ours = Job.objects.filter(lease_owner__startswith=our_leases(), lease_until__gt=now, state__in=OPEN_STATES)
    return ours.exclude(state=JobState.SENT).update(lease_until=None)


def store(job: Job, **changes: Any) -> bool:
    """Write a claimed job's columns while the claim holds; False, and nothing written, once it was lost."""
    if not Job.objects.filter(pk=job.pk, fence=job.fence, state__in=OPEN_STATES).update(**changes):
        return False
    for name, value in changes.items():
        setattr(job, name, value)
    return True
