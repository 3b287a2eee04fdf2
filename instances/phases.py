"""The one writer of the phase columns and of the start-up stage they rest on.

Called in every transaction that changes an input: a wish, a job, an observation, a health check, a deadline.
"""

from datetime import datetime

from instances.events import SYSTEM, Actor, record
from instances.lifecycle import (
    ENDED_PHASES,
    JobState,
    Observed,
    Phase,
    PhaseFacts,
    Wanted,
    phase_of,
)
from instances.models import Instance, Job
from instances.moves import tell_if_moved
from instances.reclaims import is_reclaiming

_STAGES = {
    Observed.CREATING: "creating",
    Observed.PULLING: "pulling",
    Observed.STARTING: "starting",
    Observed.RUNNING: "starting",
}

_COLUMNS = (
    "name",
    "phase",
    "phase_reason",
    "phase_since",
    "ended_at",
    "boot_stage",
    "boot_stage_since",
    "overdue",
    "next_job_action",
)


def refresh_phase(instance: Instance, *, now: datetime, actor: Actor = SYSTEM, reason: str = "") -> bool:
    """Recompute the phase from the rows, store it, and tell a change by one event. True where the phase changed.

    The instance must be fresh: read or written in the caller's transaction.
    """
    job = current_job(instance)
    before = {name: getattr(instance, name) for name in _COLUMNS}
    _move_stage(instance, now)
    phase, why = phase_of(facts_of(instance, job))
    changed = phase != instance.phase
    instance.phase_reason = why[:1000]
    if changed or instance.phase_since is None:
        previous, instance.phase, instance.phase_since = instance.phase, phase, now
        if changed:
            record(
                _event_type(previous, phase),
                at=now,
                actor=actor,
                instance=instance,
                job=job,
                reason=reason or why,
                before={"phase": previous},
                after={"phase": str(phase)},
            )
            if phase is Phase.READY and previous != Phase.UNHEALTHY:
                tell_if_moved(instance, now=now)
    _move_end(instance, now)
    instance.next_job_action = _next_action(job)
    touched = [name for name in _COLUMNS if getattr(instance, name) != before[name]]
    if touched:
        instance.save(update_fields=touched)
    return changed


def set_first_phase(instance: Instance, *, now: datetime) -> None:
    """The phase of one that is discovered and not stored yet, in memory: it has no job, and its discovery is the event."""
    _move_stage(instance, now)
    instance.phase, why = phase_of(facts_of(instance, None))
    instance.phase_reason, instance.phase_since = why[:1000], now
    instance.ended_at = now if _has_ended(instance) else None


def mark_stage_overdue(instance: Instance, text: str, *, now: datetime) -> bool:
    """Note that the stage of starting up passed its deadline; leaving the stage takes the note back."""
    instance.overdue = text[:255]
    instance.save(update_fields=["overdue"])
    return refresh_phase(instance, now=now)


def current_job(instance: Instance) -> Job | None:
    """The open job as the database has it now, whatever was fetched earlier."""
    return Job.objects.filter(instance_id=instance.pk, state__in=("queued", "claimed", "sent", "confirming")).first()


def facts_of(instance: Instance, job: Job | None) -> PhaseFacts:
    """The inputs of `phase_of` for a row."""
    machine = instance.machine
    price = machine.hourly_usd if machine else None
    return PhaseFacts(
        wanted=instance.wanted,
        met=instance.met,
        verb=job.verb if job and not job.arguments.get("swapped") else "",
        called=bool(job and job.was_called),
        observed=instance.observed,
        raw_status=machine.status if machine else "",
        given_up=instance.given_up,
        failure=instance.failure,
        overdue=instance.overdue,
        health=instance.health_state,
        health_detail=instance.health_detail,
        well_since_running=instance.well_since_running,
        reclaim_open=is_reclaiming(instance),
        spot_notified=bool(machine and machine.spot_status.lower() in ("notified", "reclaiming")),
        reclaim_at=machine.reclaim_at if machine else None,
        price_text=f"at ${price.normalize():f} per hour" if price else "",
    )


def _move_end(instance: Instance, now: datetime) -> None:
    """Note the end, or that it is back after all. Where another one took its name meanwhile, it gets a longer one."""
    ended = _has_ended(instance)
    if ended == (instance.ended_at is not None):
        return
    instance.ended_at = now if ended else None
    if ended or not instance.managed:
        return
    others = Instance.objects.managed().not_ended().filter(name__iexact=instance.name).exclude(pk=instance.pk)
    if others.exists():
        before, instance.name = instance.name, f"{instance.name[:200]}-{instance.pk.hex[:8]}"
        record(
            "instance.renamed",
            at=now,
            actor=SYSTEM,
            instance=instance,
            reason="it is back, and another instance has its name by now",
            before={"name": before},
            after={"name": instance.name},
        )


def _has_ended(instance: Instance) -> bool:
    """Ended rows free their name: proven deleted or gone, or a create that left nothing behind."""
    if instance.phase in ENDED_PHASES:
        return True
    return instance.phase == Phase.FAILED and instance.given_up and instance.observed is Observed.NOTHING


def _event_type(previous: str, phase: Phase) -> str:
    if previous == Phase.UNHEALTHY and phase is Phase.READY:
        return "instance.recovered"
    return f"instance.{phase}"


def _move_stage(instance: Instance, now: datetime) -> None:
    """Start, move or end the stage whose deadline runs while an instance is on its way to ready."""
    stage = _STAGES.get(instance.observed, "")
    if instance.observed is Observed.RUNNING and instance.well_since_running:
        stage = ""
    if instance.wanted in (Wanted.STOPPED, Wanted.DELETED) or not instance.managed:
        stage = ""
    if stage != instance.boot_stage:
        instance.boot_stage = stage
        instance.boot_stage_since = now if stage else None
        instance.overdue = ""


def _next_action(job: Job | None) -> dict[str, str | None] | None:
    if job is None:
        return None
    waits = "waits for Novita to show it" if job.state == JobState.CONFIRMING else job.error_detail or "is next in line"
    return {"what": job.verb, "at": job.next_attempt_at.isoformat(), "why": f"{job.verb} {waits}"[:500]}
