"""Opening and ending jobs, and the wish that goes with them: what every operation and the executor share.

The caller holds the instance's row lock in its transaction.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from instances import set_aside
from instances.alarms import clear_alarm
from instances.events import Actor, current_request_id, record
from instances.lifecycle import NEVER_FAIL, WISH_VERBS, JobState, Observed, Verb, Wanted, next_verb, wish_shown_by
from instances.models import Instance, Job
from instances.phases import current_job
from instances.reclaims import end_by_wish, note_job_end
from instances.tally import Counter

# How long a start refused for capacity is tried again when it was asked for.
START_PATIENCE = timedelta(minutes=15)
PORTS_BEFORE = "ports_before"
# What belongs to one try: a replacement's machine, the ports an edit found, how often the key was refused.
_OF_ONE_TRY = (
    *("machine", "swapped", "lets", "undone", "undone_code", "undone_reason", "undos"),
    *("refused_since", "refusals"),
    PORTS_BEFORE,
)
FINISHED = Counter(
    name="novita_manager_jobs_finished",
    help="Jobs that ended, by verb and by how.",
    labels=("verb", "outcome"),
)


def open_job(
    instance: Instance,
    verb: Verb,
    *,
    actor: Actor,
    reason: str,
    now: datetime,
    arguments: dict[str, Any] | None = None,
    patience_until: datetime | None = None,
) -> Job:
    """A new job, due at once, with its event. The database refuses a second open one."""
    job = Job.objects.create(
        instance=instance,
        verb=verb,
        arguments=arguments or {},
        requested_by_kind=actor.kind,
        requested_by_name=actor.name,
        reason=reason[:500],
        request_id=current_request_id.get(),
        next_attempt_at=now,
        patience_until=patience_until,
        created_at=now,
    )
    record(f"job.{verb}_requested", at=now, actor=actor, instance=instance, job=job, reason=reason)
    return job


def asked_for(job: Job) -> dict[str, Any]:
    """Its arguments without what belongs to this one try: what a retry begins with."""
    return {name: value for name, value in job.arguments.items() if name not in _OF_ONE_TRY}


def end_job(
    job: Job,
    state: JobState,
    *,
    now: datetime,
    instance: Instance,
    actor: Actor,
    reason: str = "",
    error_code: str = "",
    superseded_by: Job | None = None,
) -> None:
    """Close an open job in memory and in the database, with its event."""
    if job.error_code == set_aside.KIND:
        clear_alarm(set_aside.KIND, f"job:{job.pk}", now=now)
    job.state, job.finished_at, job.lease_until, job.superseded_by = state, now, None, superseded_by
    job.error_code, job.error_detail = error_code, reason[:2000] if error_code else ""
    if job.verb in NEVER_FAIL:
        clear_alarm("unconfirmed", str(instance.pk), now=now)
    job.fence += 1  # whoever still works on it finds its result dropped
    job.save(
        update_fields=[
            "state",
            "finished_at",
            "lease_until",
            "superseded_by",
            "error_code",
            "error_detail",
            "fence",
        ]
    )
    record(
        f"job.{job.verb}_{state}",
        at=now,
        actor=actor,
        instance=instance,
        job=job,
        reason=reason,
        after={"error": error_code} if error_code else None,
    )
    note_job_end(job, instance, state, code=error_code, reason=reason, now=now)
    transaction.on_commit(lambda: FINISHED.add(str(job.verb), str(state)))


def supersede(instance: Instance, *, now: datetime, actor: Actor, reason: str) -> Job | None:
    """Make room for a new wish. Returns the job that must settle first, or None where the way is free.

    A job that was never sent, or whose call has a clear answer, ends at once; one that is sent or unclear yields once it
    has settled, for only then is known what there is to stop or delete.
    """
    job = current_job(instance)
    if job is None:
        return None
    undecided = job.state == JobState.SENT or (job.state == JobState.CONFIRMING and job.call_outcome == "unclear")
    if undecided or (job.verb == Verb.REPLACE and job.was_called):  # a replacement has a second machine to settle about
        job.yields = True
        job.next_attempt_at = min(job.next_attempt_at, now)
        job.save(update_fields=["yields", "next_attempt_at"])
        return job
    end_job(job, JobState.SUPERSEDED, now=now, instance=instance, actor=actor, reason=reason)
    return None


def derive_job(instance: Instance, *, now: datetime) -> Job | None:
    """The job an unmet wish needs, opened on behalf of whoever wished; None while another is open or nothing is to do."""
    if not instance.managed or current_job(instance) is not None:
        return None
    if instance.observed is Observed.NOTHING and instance.wanted in (Wanted.STOPPED, Wanted.DELETED) and not instance.met:
        _nothing_was_created(instance, now)
        return None
    verb = next_verb(instance.wanted, instance.met, instance.observed)
    if verb is None:
        return None
    actor = Actor(kind=instance.wanted_by_kind or "system", name=instance.wanted_by_name)
    return open_job(
        instance,
        verb,
        actor=actor,
        reason=instance.wanted_reason,
        now=now,
        patience_until=patience_of(instance, verb, now),
    )


def patience_of(instance: Instance, verb: Verb, now: datetime) -> datetime | None:
    """Until when a job may wait for capacity; None for verbs that never give up or never wait."""
    if verb is Verb.START:
        return now + START_PATIENCE
    return now + instance.wait_for_capacity if verb is Verb.CREATE else None


def write_wish(
    instance: Instance, wanted: str, *, actor: Actor, reason: str, now: datetime, met_at: datetime | None, **also: Any
) -> None:
    """Store what is wanted, by whom and why, and other columns that change with it; "" is no wish."""
    columns: dict[str, Any] = {
        "wanted": wanted,
        "wanted_at": now if wanted else None,
        "wanted_by_kind": actor.kind,
        "wanted_by_name": actor.name,
        "wanted_reason": reason[:500],
        "met_at": met_at if wanted else None,
        "shown_at": None,
        **also,
    }
    for name, value in columns.items():
        setattr(instance, name, value)
    instance.save(update_fields=list(columns))
    if wanted:
        end_by_wish(instance, actor=actor, now=now)


def has_undone_call(instance: Instance) -> bool:
    """Whether the last call that may start, stop or end it has not settled, and may still change what is observed.

    Jobs opened later that never came to a call hide it as little as what leaves the machine's state alone.
    """
    moving = instance.jobs.exclude(called_at=None).exclude(verb__in=(Verb.EDIT, Verb.SAVE_IMAGE))
    last = moving.order_by("-called_at").first()
    return last is not None and last.state not in (JobState.SUCCEEDED, JobState.FAILED)


def end_wish(instance: Instance, *, now: datetime, actor: Actor, reason: str) -> None:
    """A job that pursued the wish was cancelled or failed for good: what is observed becomes what is wanted.

    It is met only where no call is left that may still change that.
    """
    before = instance.wanted
    nothing = instance.observed is Observed.NOTHING
    wanted, met_at = wish_shown_by(instance.observed), None if has_undone_call(instance) else now
    write_wish(instance, wanted, actor=actor, reason=reason, now=now, met_at=met_at, given_up=nothing, failure=reason[:1000])
    record(
        "instance.wish_ended",
        at=now,
        actor=actor,
        instance=instance,
        reason=reason,
        before={"wanted": before},
        after={"wanted": instance.wanted},
    )


def pursues_wish(job: Job, instance: Instance) -> bool:
    """Whether the job is for what is wanted now, and not for a wish that a newer one replaced."""
    return bool(instance.wanted) and WISH_VERBS.get(Verb(job.verb)) == instance.wanted


def needs_job(instance: Instance) -> bool:
    """Whether an unmet wish with no open job has something to do, as far as the row tells."""
    unmade = instance.observed is Observed.NOTHING and instance.wanted in (Wanted.STOPPED, Wanted.DELETED)
    return unmade or next_verb(instance.wanted, instance.met, instance.observed) is not None


def _nothing_was_created(instance: Instance, now: datetime) -> None:
    """A stop or delete that came before anything existed at Novita is met by creating nothing."""
    if instance.wanted == Wanted.DELETED:
        instance.met_at = now
        instance.save(update_fields=["met_at"])
        return
    end_wish(
        instance,
        now=now,
        actor=Actor(kind=instance.wanted_by_kind, name=instance.wanted_by_name),
        reason="it was stopped before anything was created at Novita",
    )
