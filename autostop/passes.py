"""A pass: every managed instance is decided on, candidates by their metrics, and what is due is stopped at a pace.

The same function serves the timetable, the API and the command.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from uuid import UUID

from django.conf import settings

from autostop.acts import stop_if_still_due
from autostop.decide import (
    BILLED_RUNNING,
    Action,
    Code,
    Decision,
    Hold,
    decide,
    metrics_window,
    paced,
)
from autostop.facts import Policy, Standing, considered, default_policy, facts_of, standing_at
from autostop.judgement import Reading
from autostop.models import PassRun
from autostop.records import evaluation_of, store
from autostop.results import Item, Outcome, PassResult
from autostop.signals import MetricsSource, Question, read_metrics
from instances.events import SYSTEM, Actor
from instances.models import Instance
from instances.periodic import claim, finish
from instances.provider import novita
from instances.tally import Counter

WORK = "auto_stop"
LEASE = timedelta(minutes=3)
FEWEST_ACTS = 5
SHARE_OF_RUNNING = 0.2
READ_SECONDS = 45.0
_FEWEST_READS = 20
_KEEP_PASSES = timedelta(days=30)
DECISIONS = Counter(
    name="novita_manager_auto_stop_decisions",
    help="What auto-stop decided about an instance in a pass that was no rehearsal; kept for want of data, too.",
    labels=("action", "outcome"),
)


class PassRunning(Exception):
    """Another pass is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What a pass works on: the rows as they were read, in order, and the rules that hold."""

    now: datetime
    policy: Policy
    standing: Standing
    instances: Sequence[Instance]

    @property
    def running(self) -> int:
        return sum(1 for instance in self.instances if instance.observed in BILLED_RUNNING)

    @property
    def act_limit(self) -> int:
        return act_limit(self.running)

    @property
    def next_pass_at(self) -> datetime:
        return self.now + self.policy.interval

    def decide(self, instance: Instance, reading: Reading | None = None) -> Decision:
        open_verb = str(getattr(instance, "open_verb", "") or "")
        return decide(
            facts_of(
                instance,
                open_verb=open_verb,
                policy=self.policy,
                standing=self.standing,
                now=self.now,
                reading=reading,
            )
        )


def act_limit(running: int) -> int:
    """The most one pass stops: 5, or a fifth of what runs where that is more."""
    return max(FEWEST_ACTS, ceil(SHARE_OF_RUNNING * running))


def run_if_due(now: datetime) -> PassResult | None:
    """The pass of the timetable, once per interval whoever pokes; None where it is not due or somebody is at it."""
    return _claimed_pass(now=now, actor=SYSTEM, trigger="schedule", forced=False)


def run_now(*, now: datetime, dry_run: bool, actor: Actor, trigger: str, source: MetricsSource | None = None) -> PassResult:
    """A pass asked for by a person. A rehearsal may run beside anything; a real one raises PassRunning beside another."""
    if dry_run:
        return run_pass(now=now, dry_run=True, actor=actor, trigger=trigger, source=source)
    result = _claimed_pass(now=now, actor=actor, trigger=trigger, forced=True, source=source)
    if result is None:
        raise PassRunning("another auto-stop pass is under way: ask again in a moment")
    return result


def run_pass(*, now: datetime, dry_run: bool, actor: Actor, trigger: str, source: MetricsSource | None = None) -> PassResult:
    """Decide on all, stop what is due within the pace, store and answer everything. A rehearsal changes no row."""
    began = time.monotonic()
    scene = _Scene(now=now, policy=default_policy(), standing=standing_at(now), instances=list(considered()))
    decisions = {instance.pk: scene.decide(instance) for instance in scene.instances}
    readings = _read(scene, decisions, source)
    for instance in scene.instances:
        if instance.pk in readings:
            decisions[instance.pk] = scene.decide(instance, readings[instance.pk])
        elif decisions[instance.pk].action is Action.READ_METRICS:
            decisions[instance.pk] = _unread(decisions[instance.pk])
    run = None if dry_run else _new_run(scene, actor, trigger)
    jobs = _act(scene, decisions, readings, run)
    items = tuple(_item(instance, decisions[instance.pk], jobs) for instance in scene.instances)
    result = PassResult(
        started_at=now,
        duration=timedelta(seconds=time.monotonic() - began),
        dry_run=dry_run,
        trigger=trigger,
        standing=scene.standing,
        act_limit=scene.act_limit,
        running=scene.running,
        metrics_read=len(readings),
        items=items,
        next_pass_at=scene.next_pass_at,
        run_id=run.pk if run else None,
    )
    if run is not None:
        store(scene.instances, items, set(readings), run=run, now=now)
        _finish_run(run, result)
        for item in items:
            DECISIONS.add(item.decision.action.value, item.outcome.value)
    return result


def _claimed_pass(
    *, now: datetime, actor: Actor, trigger: str, forced: bool, source: MetricsSource | None = None
) -> PassResult | None:
    held = claim(WORK, every=settings.AUTO_STOP_INTERVAL, lease=LEASE, now=now, forced=forced)
    if held is None:
        return None
    ok, detail, ended = False, "it broke off: the log says why", now
    try:
        result = run_pass(now=now, dry_run=False, actor=actor, trigger=trigger, source=source)
        ok, detail, ended = True, result.summary, now + result.duration
        return result
    finally:
        finish(held, now=ended, ok=ok, detail=detail)


def _read(scene: _Scene, decisions: Mapping[UUID, Decision], source: MetricsSource | None) -> dict[UUID, Reading]:
    """The metrics of candidates, those who waited longest first, as many as this pass could stop twice over."""
    candidates = [one for one in scene.instances if decisions[one.pk].action is Action.READ_METRICS]
    candidates.sort(key=lambda one: _turn(one, decisions[one.pk], scene.now))
    questions = []
    for instance in candidates[: max(_FEWEST_READS, 2 * scene.act_limit)]:
        facts = facts_of(instance, open_verb="", policy=scene.policy, standing=scene.standing, now=scene.now)
        start, end = metrics_window(facts)
        novita_id = (instance.machine.novita_id if instance.machine else None) or ""
        questions.append(Question(instance_id=instance.pk, novita_id=novita_id, start=start, end=end))
    return read_metrics(questions, source or novita(), seconds=READ_SECONDS) if questions else {}


def _turn(instance: Instance, decision: Decision, now: datetime) -> datetime:
    """Longest idle first; one that was read and held, for whatever reason but the pace, has had its turn then."""
    since = decision.idle_since or now
    known = evaluation_of(instance)
    if known is None or known.metrics_read_at is None or known.hold == Hold.PACE:
        return since
    return max(since, known.metrics_read_at)


def _unread(decision: Decision) -> Decision:
    return replace(decision, reason=f"{decision.reason} in this pass: one pass reads a bounded number, its turn comes")


def _act(
    scene: _Scene, decisions: dict[UUID, Decision], readings: Mapping[UUID, Reading], run: PassRun | None
) -> dict[UUID, UUID | None]:
    """Stop what is due, longest idle first, up to the limit; the rest waits. Answers the jobs of what was stopped."""
    jobs: dict[UUID, UUID | None] = {}
    due = [one.pk for one in scene.instances if decisions[one.pk].action is Action.STOP]
    due.sort(key=lambda pk: decisions[pk].idle_since or scene.now)
    acts = 0
    for pk in due:
        if acts >= scene.act_limit:
            decisions[pk] = paced(decisions[pk], scene.act_limit, scene.next_pass_at)
        elif run is None:
            acts += 1
        else:
            reading = readings.get(pk)
            act = stop_if_still_due(pk, due=decisions[pk], reading=reading, policy=scene.policy, now=scene.now, run=run)
            decisions[pk] = act.decision
            if act.done:
                acts += 1
                jobs[pk] = act.job_id
    return jobs


def _item(instance: Instance, decision: Decision, jobs: Mapping[UUID, UUID | None]) -> Item:
    return Item(
        instance_id=instance.pk,
        name=str(instance),
        novita_id=(instance.machine.novita_id if instance.machine else None) or "",
        phase=instance.phase,
        mode=instance.auto_stop_mode,
        decision=decision,
        outcome=Outcome.STOPPED if instance.pk in jobs else _outcome(decision),
        job_id=jobs.get(instance.pk),
    )


def _outcome(decision: Decision) -> Outcome:
    if decision.hold is Hold.PACE:
        return Outcome.WAITS
    if decision.action in (Action.STOP, Action.WOULD_STOP):
        return Outcome.WOULD_STOP
    return Outcome.NOT_JUDGED if decision.code in (Code.NO_DATA, Code.METRICS_NEEDED) else Outcome.KEPT


def _new_run(scene: _Scene, actor: Actor, trigger: str) -> PassRun:
    PassRun.objects.filter(started_at__lt=scene.now - _KEEP_PASSES).delete()
    return PassRun.objects.create(
        started_at=scene.now,
        trigger=trigger,
        actor_kind=actor.kind,
        actor_name=actor.name[:255],
        hold=scene.standing.hold,
        hold_reason=scene.standing.reason[:1000],
        act_limit=scene.act_limit,
        running=scene.running,
        evaluated=len(scene.instances),
    )


def _finish_run(run: PassRun, result: PassResult) -> None:
    run.duration = result.duration
    run.metrics_read = result.metrics_read
    run.stopped = result.count(Outcome.STOPPED)
    run.would_stop = result.count(Outcome.WOULD_STOP)
    run.waiting = result.count(Outcome.WAITS)
    run.not_judged = result.count(Outcome.NOT_JUDGED)
    run.save(update_fields=["duration", "metrics_read", "stopped", "would_stop", "waiting", "not_judged"])
