"""Replacing a machine: one step of the job per claim, at most one write to Novita in it, its intent stored first."""

from dataclasses import replace
from typing import Any

from django.db import transaction
from django.utils import timezone

from instances import catalogue, health_checks
from instances.correlation import new_correlation_id
from instances.events import SYSTEM, record
from instances.executor import create, outcomes
from instances.executor.claims import lease, may_call, store
from instances.executor.replace_ends import ENDS, end, let_go, swap, undo
from instances.executor.replace_facts import facts_of, machines_of, still
from instances.executor.replace_steps import ReplaceAct, ReplaceStep, next_replace_step
from instances.executor.steps import Act, Step
from instances.executor.templates import fill_in
from instances.failpoints import reach
from instances.lifecycle import JobState
from instances.models import Instance, Job, Machine
from instances.novita.client import Novita
from instances.novita.errors import NovitaError, Rejected, Unavailable
from instances.operations.wishes import locked_instance
from instances.phases import refresh_phase
from instances.placement import Candidate, Placement, Wish, admits, as_dict, to_dict
from instances.probes import probe

PROBE_SECONDS = 3.0


def carry_on(job: Job, instance: Instance, client: Novita, *, held: Step | None = None) -> Step:
    """Decide and take the next step; what of it is told in the log. `held`: why nothing may be sent now."""
    old, new = machines_of(job)
    step = next_replace_step(facts_of(job, instance, old, new, now=timezone.now()))
    if step.act is ReplaceAct.PROBE and new is not None:
        step = _probe(job, instance, old, new)
    writes = step.act in (ReplaceAct.CALL, ReplaceAct.LET_GO, ReplaceAct.UNDO)
    if held is not None and writes:
        outcomes.wait(job, held, now=timezone.now())
        return held
    _take(step, job, instance, old, new, client)
    return Step(act=ENDS.get(step.act, Act.CALL if writes else Act.WAIT), reason=step.reason or step.act, code=step.code)


def replacement_wish(instance: Instance, old: Machine) -> Wish:
    """As it was asked for, and never dearer than it was where the request names no cap."""
    wish = catalogue.wish_of(instance)
    cap = instance.max_price_usd_per_hour
    return replace(wish, max_price_usd_per_hour=old.price_usd_per_hour if cap is None else cap)


def _probe(job: Job, instance: Instance, old: Machine, new: Machine) -> ReplaceStep:
    """The same checks that make an instance ready, before anybody is sent there."""
    targets = health_checks.targets_of(instance.health_check, new.endpoints, new.ports or instance.ports)
    results = [probe(target, timeout=PROBE_SECONDS) for target in targets]
    well, detail = (True, "") if not targets else health_checks.verdict_of(results, all_must=bool(instance.health_check))
    facts = facts_of(job, instance, old, new, now=timezone.now())
    step = next_replace_step(replace(facts, new_is_well=well))
    if step.act is ReplaceAct.PROBE:
        return ReplaceStep(
            act=ReplaceAct.WAIT, reason=f"the new one runs; {detail}", at=facts.now + health_checks.WHILE_CHECKING
        )
    return step


def _take(step: ReplaceStep, job: Job, instance: Instance, old: Machine, new: Machine | None, client: Novita) -> None:
    now = timezone.now()
    if step.act is ReplaceAct.CALL:
        _call(job, instance, old, client)
    elif step.act is ReplaceAct.LET_GO:
        let_go(job, old, client)
    elif step.act is ReplaceAct.WAIT:
        outcomes.wait(job, Step(act=Act.WAIT, reason=step.reason, at=step.at), now=now)
    elif new is not None and step.act is ReplaceAct.LOOK:
        create.look(job, new, client)
    elif new is not None and step.act is ReplaceAct.START_OVER:
        _start_over(job, new, step)
    elif new is not None and step.act is ReplaceAct.SWAP:
        swap(job, old, new)
    elif new is not None and step.act is ReplaceAct.UNDO:
        undo(job, new, step, client)
    else:
        end(job, old, new, step)


def _call(job: Job, instance: Instance, old: Machine, client: Novita) -> None:
    now = timezone.now()
    try:
        refused = create.too_poor() or fill_in(instance, client, now)
        if refused is not None:
            outcomes.finish(job, refused, now=now)
            return
        ranked = create.placement_of(job, instance, client, now, wish=replacement_wish(instance, old))
    except NovitaError as error:
        outcomes.not_sent(job, error, now=now, at=outcomes.again_at(error, job.attempts + 1, now))
        return
    if not ranked.candidates:
        create.none_left(job, ranked, now)
        return
    candidate = ranked.candidates[0]
    request = create.create_request(instance, candidate)  # before the intent: what cannot be read is no attempt
    reach("replace.before_intent")
    new = _write_intent(job, old, candidate, ranked)
    reach("replace.after_intent")
    if new is None:
        return
    reach("replace.before_call")
    if not may_call(job):
        return
    try:
        novita_id = client.create_instance(create.identified(request, new.correlation_id or ""))
    except NovitaError as error:
        reach("replace.after_call")
        _failed(job, new, candidate, ranked, error)
        return
    reach("replace.after_call")
    create.made(job, new, novita_id)
    reach("replace.after_store")


def _write_intent(job: Job, old: Machine, candidate: Candidate, ranked: Placement) -> Machine | None:
    """The new machine's row and the mark that the call is about to be made. None: the claim was lost, or it may not be."""
    now = timezone.now()
    with transaction.atomic():
        fresh = locked_instance(job.instance_id)
        if not still(job, fresh, ReplaceAct.CALL, now=now):
            outcomes.wait(job, Step(act=Act.WAIT, reason="what it rests on has changed", at=now), now=now)
            return None
        old = Machine.objects.get(pk=old.pk)
        if not admits(replacement_wish(fresh, old), candidate):
            outcomes.wait(job, create.rank_again(now), now=now)
            return None
        new = Machine(instance=fresh, correlation_id=new_correlation_id(), created_at=now, called_at=now, replaces=old)
        new.cluster_id, new.region = candidate.cluster_id, candidate.region
        new.product_id, new.product_name = candidate.product_id, candidate.product_name
        new.gpu_num, new.billing_mode = fresh.gpu_num, candidate.billing_mode
        new.price_usd_per_hour = candidate.price_usd_per_hour
        new.save()
        held = store(
            job,
            state=JobState.SENT,
            **lease(),
            called_at=job.called_at or now,
            call_ended_at=None,
            call_outcome="",
            attempts=job.attempts + 1,
            placement=to_dict(ranked),
            arguments={**job.arguments, "machine": new.pk},
        )
        if not held:
            transaction.set_rollback(True)
            return None
        record(
            "job.replace_sent",
            at=now,
            actor=SYSTEM,
            instance=fresh,
            job=job,
            reason=f"offer {candidate.rank}: {candidate.product_name} in {candidate.region}, {candidate.billing_mode}",
            after={**as_dict(candidate), "correlation_id": new.correlation_id, "attempt": job.attempts},
        )
        refresh_phase(fresh, now=now)
        return new


def _failed(job: Job, new: Machine, candidate: Candidate, ranked: Placement, error: NovitaError) -> None:
    now = timezone.now()
    if not isinstance(error, Rejected | Unavailable):
        outcomes.unclear(job, now=now, error=error)
        return
    Machine.objects.filter(pk=new.pk, novita_id=None).update(given_up_at=now)
    _forget_attempt(job)
    create.after_refusal(job, candidate, ranked, error, now)


def _forget_attempt(job: Job) -> None:
    with transaction.atomic():
        locked_instance(job.instance_id)
        job.refresh_from_db(fields=["arguments"])
        store(job, arguments=_without_attempt(job))


def _without_attempt(job: Job) -> dict[str, Any]:
    return {name: value for name, value in job.arguments.items() if name != "machine"}


def _start_over(job: Job, new: Machine, step: ReplaceStep) -> None:
    now = timezone.now()
    with transaction.atomic():
        fresh = locked_instance(job.instance_id)
        job.refresh_from_db(fields=["arguments"])
        held = store(
            job,
            state=JobState.QUEUED,
            call_ended_at=None,
            call_outcome="",
            lease_until=None,
            next_attempt_at=now,
            arguments=_without_attempt(job),
        )
        if held:
            Machine.objects.filter(pk=new.pk, novita_id=None).update(given_up_at=now)
            record("job.create_attempt_given_up", at=now, actor=SYSTEM, instance=fresh, job=job, reason=step.reason)
            refresh_phase(fresh, now=now)
