"""The one act of auto-stop. All that a stop rests on is read again in the transaction that writes it."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import transaction

from autostop.decide import Action, Decision, decide
from autostop.facts import Policy, facts_of, standing_at
from autostop.judgement import Reading
from autostop.models import PassRun, RecordedDecision
from instances.events import Actor
from instances.models import Instance
from instances.operations import OperationRefused, request_stop
from instances.phases import current_job

RULE = Actor(kind="rule", name="auto-stop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What came of a due stop: `done` with its job, or the decision that averted it."""

    done: bool
    decision: Decision
    job_id: UUID | None = None


def stop_if_still_due(
    instance_id: UUID, *, due: Decision, reading: Reading | None, policy: Policy, now: datetime, run: PassRun
) -> Act:
    """Decide again from the locked row and request the stop, or say what averted it. The metrics are not read again."""
    try:
        with transaction.atomic():
            instance = Instance.objects.select_for_update(of=("self",)).select_related("machine").get(pk=instance_id)
            job = current_job(instance)
            facts = facts_of(
                instance,
                open_verb=job.verb if job else "",
                policy=policy,
                standing=standing_at(now),
                now=now,
                reading=reading,
            )
            decision = decide(facts)
            if decision.action is not Action.STOP:
                return Act(done=False, decision=decision)
            request_stop(instance_id, actor=RULE, reason=f"auto-stop: {decision.reason}", now=now)
            job = current_job(instance)
            RecordedDecision.objects.create(
                instance=instance,
                pass_run=run,
                job=job,
                acted=True,
                action=decision.action,
                code=decision.code,
                hold=decision.hold,
                reason=decision.reason[:1000],
                evidence=dict(decision.evidence),
                decided_at=now,
            )
            return Act(done=True, decision=decision, job_id=job.pk if job else None)
    except OperationRefused as refusal:
        return Act(done=False, decision=replace(due, action=Action.KEEP, reason=f"{due.reason}; refused: {refusal.detail}"))
