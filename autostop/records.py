"""What a pass leaves behind: evaluations, decisions that changed, the next action shown, alarms. One transaction.

Only what changed is written, so that a quiet fleet costs a fixed number of queries.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from autostop.acts import decision_columns
from autostop.decide_facts import ACTIVE, Action, Code, Hold
from autostop.decide_outcome import Decision
from autostop.facts import evaluation_of
from autostop.models import Evaluation, PassRun, RecordedDecision
from autostop.results import Item, Outcome
from instances.alarms import clear_alarm, raise_alarm
from instances.api.times import rfc3339
from instances.events import AUTO_STOP, record
from instances.models import Alarm, Instance

NO_METRICS = "no_metrics"
AVERTED = "instance.auto_stop_averted"
_BATCH = 2000
_NOTHING_AHEAD = (
    Code.UNMANAGED,
    Code.NOT_RUNNING,
    Code.UNKNOWN_STATUS,
    Code.STOP_UNDER_WAY,
    Code.PROTECTED,
    Code.OFF,
    Code.SET_ASIDE,
)
# Without figures that change by the minute, so that the column changes only when something does.
_OUTLOOK = {
    Code.JOB_OPEN: "its open job goes first",
    Code.MOVING: "it is judged when it runs again",
    Code.STARTING: "unless it becomes ready or is used by then",
    Code.THRESHOLD_NOT_REACHED: "unless it is used or busy by then",
    Code.GRACE: "unless it is used or busy by then",
    Code.KEPT: "it is kept until then",
    Code.METRICS_NEEDED: "it is not used; its metrics are read in a later pass",
    Code.NO_DATA: "it is not used, but no fresh metrics show that it is idle: held",
    Code.GPU_ACTIVE: "it is not used, but its GPU is busy: held",
    Code.CPU_ACTIVE: "it is not used, but its CPU is busy: held",
    Code.HEARTBEAT_ACTIVE: "it is not used, but its heartbeat says that it works: held",
    Code.IDLE_AGAIN: "it is idle, and has to be found so again",
    Code.WARNED: "people were warned: unless it is used, busy or kept by then",
}
_HELD = {
    Hold.OBSERVE: "it is due and only observed",
    Hold.PAUSED: "it is due, but automation is paused",
    Hold.FROZEN: "it is due, but what Novita lists is not believed now",
    Hold.METRICS: "it is due, but most metrics are missing",
    Hold.STALE: "it is due, and is decided anew",
    Hold.PACE: "it is due and waits for the next pass",
}


def next_action(decision: Decision) -> dict[str, str | None] | None:
    """The `next_auto_stop_action` of a decision: what auto-stop does next, when, and why; None for nothing."""
    if decision.code in _NOTHING_AHEAD or decision.action is Action.STOP:
        return None
    what = "would_stop" if decision.hold is Hold.OBSERVE else "stop"
    hard = decision.deadlines.hard_at
    at = hard if decision.code in ACTIVE else decision.next_at
    by_hard = hard is not None and at == hard
    why = decision.deadlines.hard_by if by_hard else _HELD.get(decision.hold) or _OUTLOOK.get(decision.code)
    return {"what": what, "at": rfc3339(at) if at else None, "why": (why or decision.reason)[:500]}


def store(instances: Sequence[Instance], items: Sequence[Item], read: set[UUID], *, run: PassRun, now: datetime) -> None:
    """Write what changed. Acts have written their own decision."""
    with transaction.atomic():
        evaluations, decisions = [], []
        for instance, item in zip(instances, items, strict=True):
            known = evaluation_of(instance)
            read_at = now if instance.pk in read else known.metrics_read_at if known else None
            changed = known is None or _known_key(known) != _key(item.decision)
            if not changed and known is not None and _known_times(known) == _times(item.decision, known, read_at):
                continue
            row = _evaluation(instance, item.decision, known, read_at=read_at, now=now)
            if known is not None and not changed:
                row.same_since = known.same_since
            evaluations.append(row)
            _tell_averted(instance, item.decision, known, now)
            if changed and item.outcome is not Outcome.STOPPED:
                decisions.append(_recorded(instance, item.decision, run, now))
                _tell_observed(instance, item.decision, now)
        _upsert(evaluations)
        RecordedDecision.objects.bulk_create(decisions, batch_size=_BATCH)
        _store_next_actions(instances, items)
    _store_alarms(instances, items, now)


def _key(decision: Decision) -> tuple[str, ...]:
    policy = decision.facts.rules.name if decision.facts else ""
    return str(decision.action), str(decision.code), str(decision.hold), policy


def _known_key(known: Evaluation) -> tuple[str, ...]:
    return known.action, known.code, known.hold, known.policy


def _times(decision: Decision, known: Evaluation, read_at: datetime | None) -> tuple[object, ...]:
    """What else is worth a write. Who is active has no stop time to keep: it moves with every pass."""
    times = decision.deadlines
    return (
        None if decision.code in ACTIVE else times.idle_at,
        times.hard_at,
        _promised(decision, known),
        _in_a_row(decision, known),
        read_at,
    )


def _known_times(known: Evaluation) -> tuple[object, ...]:
    idle_at = None if known.code in ACTIVE else known.idle_stop_at
    return idle_at, known.hard_stop_at, known.promised_at, known.idle_in_a_row, known.metrics_read_at


def _evaluation(
    instance: Instance, decision: Decision, known: Evaluation | None, *, read_at: datetime | None, now: datetime
) -> Evaluation:
    times = decision.deadlines
    usage = decision.facts.usage if decision.facts else None
    return Evaluation(
        instance=instance,
        same_since=now,
        idle_since=None if decision.code in ACTIVE else decision.idle_since,
        metrics_read_at=read_at,
        next_at=decision.next_at,
        idle_stop_at=times.idle_at,
        idle_stop_by=times.idle_by[:700],
        hard_stop_at=times.hard_at,
        hard_stop_by=times.hard_by[:700],
        promised_at=_promised(decision, known),
        idle_in_a_row=_in_a_row(decision, known),
        gpu_active_at=usage.gpu_active_at if usage else None,
        cpu_active_at=usage.cpu_active_at if usage else None,
        decided_at=now,
        **decision_columns(decision),
    )


def _in_a_row(decision: Decision, known: Evaluation | None) -> int:
    """How many evaluations in a row found it idle, counted no further than its policy asks for."""
    if not decision.found_idle or decision.facts is None:
        return 0
    return min(known.idle_in_a_row + 1 if known else 1, decision.facts.rules.in_a_row)


def _promised(decision: Decision, known: Evaluation | None) -> datetime | None:
    """What was promised, until activity or a person has moved the stop beyond it."""
    promised = known.promised_at if known else None
    times = [at for at in (decision.deadlines.idle_at, decision.deadlines.hard_at) if at is not None]
    return promised if promised is not None and times and min(times) <= promised else None


def _tell_averted(instance: Instance, decision: Decision, known: Evaluation | None, now: datetime) -> None:
    """A stop people were warned of that does not come, because of activity or because somebody keeps it, is news."""
    if known is None or known.promised_at is None or _promised(decision, known) is not None:
        return
    if decision.action is Action.STOP or decision.code in _NOTHING_AHEAD:
        return
    later = decision.deadlines.idle_at or decision.deadlines.hard_at
    record(
        AVERTED,
        at=now,
        actor=AUTO_STOP,
        instance=instance,
        reason=decision.reason,
        before={"stop_at": rfc3339(known.promised_at)},
        after={"stop_at": rfc3339(later) if later else None},
    )


def _recorded(instance: Instance, decision: Decision, run: PassRun, now: datetime) -> RecordedDecision:
    return RecordedDecision(instance=instance, pass_run=run, decided_at=now, **decision_columns(decision))


def _tell_observed(instance: Instance, decision: Decision, now: datetime) -> None:
    if decision.hold is Hold.OBSERVE:
        record(
            "instance.auto_stop_observed",
            at=now,
            actor=AUTO_STOP,
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
    # Locked in one order first: uses are stored many to a commit too, and neither may wait for the other.
    ours = Instance.objects.managed().filter(pk__in=[*cleared, *(one.pk for one in changed)]).order_by("pk")
    if cleared or changed:
        list(ours.select_for_update(no_key=True).values_list("pk", flat=True))
    if cleared:
        Instance.objects.managed().filter(pk__in=cleared).update(next_auto_stop_action=None)
    if changed:
        Instance.objects.managed().bulk_update(changed, ["next_auto_stop_action"], batch_size=500)


def _store_alarms(instances: Sequence[Instance], items: Sequence[Item], now: datetime) -> None:
    """One alarm per instance that runs, is paid for and shows no data; what was not read this time stays as it is."""
    is_open = set(Alarm.objects.filter(kind=NO_METRICS, cleared_at=None).values_list("subject", flat=True))
    for instance, item in zip(instances, items, strict=True):
        subject, decision = str(instance.pk), item.decision
        if decision.code is Code.NO_DATA and decision.alarms:
            raise_alarm(
                NO_METRICS,
                subject,
                text=f"{instance}: running, paid, no data. {decision.reason}",
                remedy="Look at it by hand and stop it, or report its use (PUT /api/v1/instances/{ref}/last-used): "
                "auto-stop does not stop what it cannot see",
                now=now,
                instance=instance,
            )
        elif subject in is_open and decision.code not in (Code.METRICS_NEEDED, Code.NO_DATA):
            clear_alarm(NO_METRICS, subject, now=now)
