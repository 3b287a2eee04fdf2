"""The acts of auto-stop. All that one rests on is read again in the transaction that writes it."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import transaction

from autostop.decide import decide
from autostop.decide_facts import Action
from autostop.decide_outcome import Decision
from autostop.decide_start import start_reason
from autostop.facts import Scene, canaries_now, facts_of, samples_from, start_facts_of, verb_in_hand
from autostop.models import Evaluation, Heartbeat, PassRun, RecordedDecision
from autostop.policies import read_policies
from autostop.safety import standing_at
from instances.events import AUTO_STOP
from instances.models import Instance, UtilisationWatch
from instances.operations import OperationRefused, request_start, request_stop
from instances.phases import current_job
from instances.utilisation.rows import samples_since


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What came of a due stop: `done` with its job, or the decision that averted it."""

    done: bool
    decision: Decision
    job_id: UUID | None = None


def stop_if_still_due(instance_id: UUID, *, due: Decision, scene: Scene, now: datetime, run: PassRun) -> Act:
    """Decide again from the locked row and what is stored now, and request the stop, or say what averted it.

    Novita is not asked again: what this pass read of its metrics is stored, and the newest of it counts.
    """
    try:
        with transaction.atomic():
            instance = locked(instance_id)
            job = current_job(instance)
            decision = decide(facts_of(instance, _scene_now(instance, scene, now), open_verb=verb_in_hand(job)))
            if decision.action is not Action.STOP:
                return Act(done=False, decision=decision)
            request_stop(instance_id, actor=AUTO_STOP, reason=f"auto-stop: {decision.reason}", now=now)
            job = current_job(instance)
            machine = instance.machine
            RecordedDecision.objects.create(
                instance=instance,
                pass_run=run,
                job=job,
                acted=True,
                price_usd_per_hour=machine.billed_price_usd_per_hour if machine else None,
                billing_mode=machine.billing_mode if machine else "",
                decided_at=now,
                **decision_columns(decision),
            )
            return Act(done=True, decision=decision, job_id=job.pk if job else None)
    except OperationRefused as refusal:
        return Act(done=False, decision=replace(due, action=Action.KEEP, reason=f"{due.reason}; refused: {refusal.detail}"))


def start_if_still_due(instance_id: UUID, *, scene: Scene, now: datetime) -> bool:
    """Start what its working hours start, decided again from the locked row."""
    try:
        with transaction.atomic():
            instance = locked(instance_id)
            job = current_job(instance)
            fresh = replace(scene, now=now, standing=standing_at(now), canaries=canaries_now(scene.policies))
            reason = start_reason(start_facts_of(instance, fresh, open_verb=verb_in_hand(job)))
            if not reason:
                return False
            request_start(instance_id, actor=AUTO_STOP, reason=f"auto-stop: {reason}", now=now)
            return True
    except OperationRefused:
        return False


def locked(instance_id: UUID) -> Instance:
    """The row, locked for this transaction, with what auto-stop knows of it as it is now."""
    instance = Instance.objects.select_for_update(of=("self",)).select_related("machine").get(pk=instance_id)
    for name, found in (
        ("auto_stop_evaluation", Evaluation.objects.filter(instance=instance).first()),
        ("auto_stop_heartbeat", Heartbeat.objects.filter(instance=instance).first()),
    ):
        if found is not None:
            setattr(instance, name, found)
    return instance


def decision_columns(decision: Decision) -> dict[str, object]:
    """A decision as its rows keep it, but for the time."""
    return {
        "action": decision.action,
        "code": decision.code,
        "hold": decision.hold,
        "reason": decision.reason[:1000],
        "nearest_miss": decision.nearest_miss[:500],
        "evidence": dict(decision.evidence),
        "policy": decision.facts.rules.name[:100] if decision.facts else "",
        "version": decision.version,
    }


def _scene_now(instance: Instance, scene: Scene, now: datetime) -> Scene:
    """The scene with what may have changed since the pass read it: rules, holds, samples."""
    policies = read_policies(now)
    machine_id = instance.machine_id or 0
    samples = samples_since(samples_from([instance], policies, now), [machine_id])
    standing = replace(standing_at(now), idle_hold=scene.standing.idle_hold, idle_reason=scene.standing.idle_reason)
    if instance.machine is not None:
        watch = UtilisationWatch.objects.filter(machine_id=machine_id).first()
        if watch is not None:
            instance.machine.utilisation_watch = watch
    return replace(scene, now=now, policies=policies, standing=standing, samples=samples, canaries=canaries_now(policies))
