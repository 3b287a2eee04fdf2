"""A pass: every managed instance is decided on, candidates by metrics read just then, and what is due is done at a pace.

The same function serves the timetable, the API and the command.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from autostop.acts import start_if_still_due, stop_if_still_due
from autostop.decide import decide, paced, stale, unjudged
from autostop.decide_facts import Action, Code, Hold
from autostop.decide_outcome import Decision
from autostop.decide_start import start_reason
from autostop.facts import (
    Scene,
    canaries_among,
    considered,
    evaluation_of,
    facts_of,
    is_billed,
    policy_if_known,
    samples_from,
    start_facts_of,
    watch_of,
)
from autostop.models import PassRun, Policy
from autostop.notices import warn
from autostop.policies import read_policies
from autostop.records import store
from autostop.results import Item, Outcome, PassResult
from autostop.safety import stale_after, standing_at, tell_set_aside, tell_standing, with_metrics_seen
from instances.events import AUTO_STOP, SYSTEM, Actor
from instances.models import Instance
from instances.periodic import claim, finish
from instances.provider import novita
from instances.rule_pace import act_limit
from instances.set_aside import AWAY
from instances.tally import Counter
from instances.utilisation import rows
from instances.utilisation.reads import Answer, MetricsSource, question_of, read

WORK = "auto_stop"
LEASE = timedelta(minutes=3)
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


@dataclass(slots=True, kw_only=True)
class _Pass:
    """One pass as it goes on: the rows as they were read, what was decided of them, and what was done.

    `failed` are those that are set aside, each with what it made fail.
    """

    began: float
    scene: Scene
    instances: Sequence[Instance]
    decisions: dict[UUID, Decision]
    answers: dict[int, Answer]
    jobs: dict[UUID, UUID | None]
    started: set[UUID]
    stale_for: timedelta | None = None
    failed: dict[UUID, Exception] = field(default_factory=dict)

    @property
    def running(self) -> int:
        return sum(1 for instance in self.instances if is_billed(instance))

    @property
    def next_at(self) -> datetime:
        return self.scene.now + self.scene.policies.interval

    @property
    def elapsed(self) -> timedelta:
        return timedelta(seconds=time.monotonic() - self.began)

    @contextmanager
    def around(self, instance: Instance) -> Iterator[None]:
        """What is done for one instance: what it makes fail leaves it alone for this pass, and no other."""
        try:
            yield
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - its alarm tells it
            self.failed[instance.pk] = error
            self.decisions[instance.pk] = unjudged(error)

    def decide(self, instance: Instance) -> None:
        with self.around(instance):
            open_verb = str(getattr(instance, "open_verb", "") or "")
            self.decisions[instance.pk] = decide(facts_of(instance, self.scene, open_verb=open_verb))


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
    """Decide on all, do what is due within the pace, store and answer everything. A rehearsal changes no row.

    Only the timetable warns before it stops for idleness: who asks for a pass means it now.
    """
    this = _look(now, warns_first=trigger == "schedule")
    _read(this, source, keep=not dry_run)
    _judge_again(this)
    run = None if dry_run else _new_run(this, actor, trigger)
    _act(this, run)
    _start(this, dry_run)
    items = tuple(_item(instance, this, dry_run) for instance in this.instances)
    if run is not None:
        read_ids = {one.pk for one in this.instances if one.machine_id in this.answers}
        store(this.instances, items, read_ids, run=run, now=now)
        items = _warned(this, items)
        tell_standing(this.scene.standing, stale=this.stale_for, now=now)
        tell_set_aside(this.instances, this.failed, this.scene.policies, now=now)
        Policy.objects.update(evaluated_at=now)
    result = PassResult(
        started_at=now,
        duration=this.elapsed,
        dry_run=dry_run,
        trigger=trigger,
        standing=this.scene.standing,
        act_limit=act_limit(this.running),
        running=this.running,
        metrics_read=len(this.answers),
        items=items,
        next_pass_at=this.next_at,
        run_id=run.pk if run else None,
    )
    if run is not None:
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


def _look(now: datetime, *, warns_first: bool) -> _Pass:
    """Read everything in a fixed number of queries, and decide on all of it."""
    began = time.monotonic()
    policies, standing, instances = read_policies(now), standing_at(now), list(considered())
    scene = Scene(
        now=now,
        policies=policies,
        standing=standing,
        samples=rows.samples_since(samples_from(instances, policies, now)),
        canaries=canaries_among(instances, policies),
        warns_first=warns_first,
    )
    this = _Pass(began=began, scene=scene, instances=instances, decisions={}, answers={}, jobs={}, started=set())
    for instance in instances:
        this.decide(instance)
    return this


def _read(this: _Pass, source: MetricsSource | None, *, keep: bool) -> None:
    """The metrics of candidates, those who waited longest first, as many as this pass could stop twice over."""
    now = this.scene.now
    candidates = [one for one in this.instances if this.decisions[one.pk].action is Action.READ_METRICS]
    candidates.sort(key=lambda one: _turn(one, this.decisions[one.pk], now))
    questions = []
    for instance in candidates[: max(_FEWEST_READS, 2 * act_limit(this.running))]:
        watch = watch_of(instance)
        if instance.machine is not None:
            newest_at = watch.newest_at if watch else None
            cpu_only = instance.gpu_num == 0
            with this.around(instance):
                questions.append(question_of(instance.machine, newest_at=newest_at, cpu_only=cpu_only, now=now))
    if not questions:
        return
    this.answers = read(questions, source or novita(), seconds=READ_SECONDS)
    if keep:
        rows.store(this.answers, now=now)
    told = {
        machine_id: rows.merged(this.scene.samples.get(machine_id, ()), answer.minutes)
        for machine_id, answer in this.answers.items()
    }
    read_now = {machine_id: answer.error for machine_id, answer in this.answers.items()}
    this.scene = replace(this.scene, samples={**this.scene.samples, **told}, read_now=read_now)


def _judge_again(this: _Pass) -> None:
    """Decide anew on what was read; and on all that is due, where by now too many metrics turn out to be missing."""
    newest = {machine_id: samples[-1].newest_at for machine_id, samples in this.scene.samples.items() if samples}
    standing = with_metrics_seen(this.scene.standing, this.instances, this.scene, newest)
    changed = standing != this.scene.standing
    this.scene = replace(this.scene, standing=standing)
    for instance in this.instances:
        decision = this.decisions[instance.pk]
        if instance.machine_id in this.answers or (changed and decision.found_idle):
            this.decide(instance)
        elif decision.action is Action.READ_METRICS:
            this.decisions[instance.pk] = _unread(decision)


def _turn(instance: Instance, decision: Decision, now: datetime) -> datetime:
    """Longest idle first; one that was read and held, for whatever reason but the pace, has had its turn then."""
    since = decision.idle_since or now
    known = evaluation_of(instance)
    if known is None or known.metrics_read_at is None or known.hold == Hold.PACE:
        return since
    return max(since, known.metrics_read_at)


def _unread(decision: Decision) -> Decision:
    return replace(decision, reason=f"{decision.reason}; one pass reads a bounded number, its turn comes")


def _act(this: _Pass, run: PassRun | None) -> None:
    """Stop what is due, longest idle first, up to the limit; the rest waits. Old decisions are not acted on."""
    due = [one for one in this.instances if this.decisions[one.pk].action is Action.STOP]
    due.sort(key=lambda one: this.decisions[one.pk].idle_since or this.scene.now)
    limit, acts = act_limit(this.running), 0
    for instance in due:
        pk, decision, age = instance.pk, this.decisions[instance.pk], this.elapsed
        if acts >= limit:
            this.decisions[pk] = paced(decision, limit, this.next_at)
        elif age > max(stale_after(), timedelta(seconds=READ_SECONDS)):
            this.decisions[pk], this.stale_for = stale(decision, age), age
        elif run is None:
            acts += 1
        else:
            with this.around(instance):
                act = stop_if_still_due(pk, due=decision, scene=this.scene, now=this.scene.now, run=run)
                this.decisions[pk] = act.decision
                if act.done:
                    acts += 1
                    this.jobs[pk] = act.job_id


def _start(this: _Pass, dry_run: bool) -> None:
    """Start what its working hours start, at the same pace."""
    limit = act_limit(this.running)
    for instance in this.instances:
        if len(this.started) >= limit:
            return
        if instance.pk in this.failed:
            continue
        with this.around(instance):
            open_verb = str(getattr(instance, "open_verb", "") or "")
            if not start_reason(start_facts_of(instance, this.scene, open_verb=open_verb)):
                continue
            if dry_run or start_if_still_due(instance.pk, scene=this.scene, now=this.scene.now):
                this.started.add(instance.pk)


def _warned(this: _Pass, items: Sequence[Item]) -> tuple[Item, ...]:
    """Warn of what is to come; the items, with what became of those that could not be warned."""
    of = {instance.pk: instance for instance in this.instances}
    told = []
    for item in items:
        if item.outcome is Outcome.WARNED:
            with this.around(of[item.instance_id]):
                warn(item.instance_id, item.decision, actor=AUTO_STOP, now=this.scene.now)
            if item.instance_id in this.failed:
                item = replace(item, decision=this.decisions[item.instance_id], outcome=Outcome.NOT_JUDGED)
        told.append(item)
    return tuple(told)


def _item(instance: Instance, this: _Pass, dry_run: bool) -> Item:
    decision = this.decisions[instance.pk]
    policy = policy_if_known(instance, this.scene.policies)
    if instance.pk in this.jobs:
        outcome = Outcome.STOPPED
    elif instance.pk in this.started:
        outcome = Outcome.WOULD_START if dry_run else Outcome.STARTED
    else:
        outcome = _outcome(decision)
    return Item(
        instance_id=instance.pk,
        name=str(instance),
        novita_id=(instance.machine.novita_id if instance.machine else None) or "",
        phase=instance.phase,
        mode=instance.auto_stop_mode,
        policy=policy.name if policy else "",
        decision=decision,
        outcome=outcome,
        job_id=this.jobs.get(instance.pk),
    )


def _outcome(decision: Decision) -> Outcome:
    if decision.hold is Hold.PACE:
        return Outcome.WAITS
    if decision.action in (Action.STOP, Action.WOULD_STOP):
        return Outcome.WOULD_STOP
    if decision.warn_of is not None:
        return Outcome.WARNED
    unseen = decision.code in (Code.NO_DATA, Code.METRICS_NEEDED, Code.SET_ASIDE)
    return Outcome.NOT_JUDGED if unseen else Outcome.KEPT


def _new_run(this: _Pass, actor: Actor, trigger: str) -> PassRun:
    now, standing = this.scene.now, this.scene.standing
    PassRun.objects.filter(started_at__lt=now - _KEEP_PASSES).delete()
    return PassRun.objects.create(
        started_at=now,
        trigger=trigger,
        actor_kind=actor.kind,
        actor_name=actor.name[:255],
        hold=standing.hold or standing.idle_hold,
        hold_reason=(standing.reason or standing.idle_reason)[:1000],
        act_limit=act_limit(this.running),
        running=this.running,
        evaluated=len(this.instances),
    )


def _finish_run(run: PassRun, result: PassResult) -> None:
    run.duration = result.duration
    run.metrics_read = result.metrics_read
    counted: Mapping[str, Outcome] = {
        "warned": Outcome.WARNED,
        "started": Outcome.STARTED,
        "stopped": Outcome.STOPPED,
        "would_stop": Outcome.WOULD_STOP,
        "waiting": Outcome.WAITS,
        "not_judged": Outcome.NOT_JUDGED,
    }
    for column, outcome in counted.items():
        setattr(run, column, result.count(outcome))
    run.save(update_fields=["duration", "metrics_read", *counted])
