"""What a pass leaves behind: evaluations, decisions that changed, the next action shown, alarms. One transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from autostop.acts import RULE
from autostop.decide import Action, Code, Decision, Hold
from autostop.models import Evaluation, PassRun, RecordedDecision
from autostop.results import Item, Outcome
from instances.alarms import clear_alarm, raise_alarm
from instances.api.times import rfc3339
from instances.events import record
from instances.models import Alarm, Instance

NO_METRICS = "no_metrics"
_BATCH = 500
_NOTHING_AHEAD = (
    Code.UNMANAGED,
    Code.NOT_RUNNING,
    Code.UNKNOWN_STATUS,
    Code.STOP_UNDER_WAY,
    Code.PROTECTED,
    Code.OFF,
)
# Without figures that change by the minute, so that the column changes only when something does.
_OUTLOOK = {
    Code.JOB_OPEN: "its open job goes first",
    Code.MOVING: "it is judged when it runs again",
    Code.STARTING: "unless it becomes ready or is used by then",
    Code.THRESHOLD_NOT_REACHED: "unless it is used or busy by then",
    Code.METRICS_NEEDED: "it is not used; its metrics are read in a later pass",
    Code.NO_DATA: "it is not used, but no fresh metrics show that it is idle: held",
    Code.GPU_ACTIVE: "it is not used, but its GPU is busy: held",
    Code.CPU_ACTIVE: "it is not used, but its CPU is busy: held",
}
_HELD = {
    Hold.OBSERVE: "it is due and only observed",
    Hold.PAUSED: "it is due, but automation is paused",
    Hold.FROZEN: "it is due, but the account is frozen",
    Hold.PACE: "it is due and waits for the next pass",
}


def evaluation_of(instance: Instance) -> Evaluation | None:
    """The stored evaluation as the query of a pass fetched it."""
    found: Evaluation | None = getattr(instance, "auto_stop_evaluation", None)
    return found


def next_action(decision: Decision) -> dict[str, str | None] | None:
    """The `next_auto_stop_action` of a decision: what auto-stop does next, when, and why; None for nothing."""
    if decision.code in _NOTHING_AHEAD or decision.action is Action.STOP:
        return None
    what = "would_stop" if decision.hold is Hold.OBSERVE else "stop"
    why = _HELD.get(decision.hold) or _OUTLOOK.get(decision.code) or decision.reason
    return {"what": what, "at": rfc3339(decision.next_at) if decision.next_at else None, "why": why[:500]}


def store(instances: Sequence[Instance], items: Sequence[Item], read: set[UUID], *, run: PassRun, now: datetime) -> None:
    """Write what changed. Acts have written their own decision."""
    with transaction.atomic():
        evaluations, decisions = [], []
        for instance, item in zip(instances, items, strict=True):
            known = evaluation_of(instance)
            changed = known is None or (known.action, known.code, known.hold) != _key(item.decision)
            if item.decision.code is Code.NOT_RUNNING and (known is None or not changed):
                continue
            evaluations.append(_evaluation(instance, item.decision, known, changed=changed, read=read, now=now))
            if changed and item.outcome is not Outcome.STOPPED:
                decisions.append(_recorded(instance, item.decision, run, now))
                _tell_observed(instance, item.decision, now)
        _upsert(evaluations)
        RecordedDecision.objects.bulk_create(decisions, batch_size=_BATCH)
        _store_next_actions(instances, items)
    _store_alarms(instances, items, now)


def _key(decision: Decision) -> tuple[str, str, str]:
    return str(decision.action), str(decision.code), str(decision.hold)


def _columns(decision: Decision, now: datetime) -> dict[str, Any]:
    return {
        "action": decision.action,
        "code": decision.code,
        "hold": decision.hold,
        "reason": decision.reason[:1000],
        "evidence": dict(decision.evidence),
        "decided_at": now,
    }


def _evaluation(
    instance: Instance, decision: Decision, known: Evaluation | None, *, changed: bool, read: set[UUID], now: datetime
) -> Evaluation:
    return Evaluation(
        instance=instance,
        same_since=now if known is None or changed else known.same_since,
        idle_since=decision.idle_since,
        metrics_read_at=now if instance.pk in read else known.metrics_read_at if known else None,
        next_at=decision.next_at,
        **_columns(decision, now),
    )


def _recorded(instance: Instance, decision: Decision, run: PassRun, now: datetime) -> RecordedDecision:
    return RecordedDecision(instance=instance, pass_run=run, **_columns(decision, now))


def _tell_observed(instance: Instance, decision: Decision, now: datetime) -> None:
    if decision.hold is Hold.OBSERVE:
        record(
            "instance.auto_stop_observed",
            at=now,
            actor=RULE,
            instance=instance,
            reason=decision.reason,
            after={"action": str(decision.action), "code": str(decision.code)},
        )


def _upsert(evaluations: Sequence[Evaluation]) -> None:
    columns = [field.name for field in Evaluation._meta.concrete_fields if field.name != "instance"]
    Evaluation.objects.bulk_create(
        evaluations, batch_size=_BATCH, update_conflicts=True, unique_fields=["instance"], update_fields=columns
    )


def _store_next_actions(instances: Sequence[Instance], items: Sequence[Item]) -> None:
    """Only rows whose action differs, and only while they are managed: a release meanwhile has the last word."""
    cleared, changed = [], []
    for instance, item in zip(instances, items, strict=True):
        action = None if item.outcome is Outcome.STOPPED else next_action(item.decision)
        if action == instance.next_auto_stop_action:
            continue
        if action is None:
            cleared.append(instance.pk)
        else:
            instance.next_auto_stop_action = action
            changed.append(instance)
    if cleared:
        Instance.objects.managed().filter(pk__in=cleared).update(next_auto_stop_action=None)
    if changed:
        Instance.objects.managed().bulk_update(changed, ["next_auto_stop_action"], batch_size=_BATCH)


def _store_alarms(instances: Sequence[Instance], items: Sequence[Item], now: datetime) -> None:
    """One alarm per instance that runs, is paid for and shows no data; what was not read this time stays as it is."""
    is_open = set(Alarm.objects.filter(kind=NO_METRICS, cleared_at=None).values_list("subject", flat=True))
    for instance, item in zip(instances, items, strict=True):
        subject = str(instance.pk)
        if item.decision.code is Code.NO_DATA:
            raise_alarm(
                NO_METRICS,
                subject,
                text=f"{instance}: running, paid, no data. {item.decision.reason}",
                remedy="Look at it by hand and stop it, or report its use (PUT /api/v1/instances/{ref}/last-used): "
                "auto-stop does not stop what it cannot see",
                now=now,
                instance=instance,
            )
        elif subject in is_open and item.decision.code is not Code.METRICS_NEEDED:
            clear_alarm(NO_METRICS, subject, now=now)
