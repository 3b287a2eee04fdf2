"""Creating: choose an offer, write the attempt, ask once, and after an unclear answer look before asking again."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from instances import balance, catalogue, placement
from instances.attempts import resolve_attempt
from instances.correlation import ENVIRONMENT_NAME, correlation_id_in, new_correlation_id, provider_name
from instances.events import SYSTEM, record
from instances.executor import outcomes, rounds
from instances.executor.claims import lease, may_call, store
from instances.executor.steps import LOOK_EVERY, Act, Step, capacity_gap
from instances.executor.templates import fill_in
from instances.failpoints import reach
from instances.lifecycle import JobState
from instances.models import Instance, Job, Machine, ProviderAccount
from instances.novita.catalogue import Tool
from instances.novita.client import Novita
from instances.novita.create_request import CreateRequest, NetworkMount
from instances.novita.errors import AuthFailed, NoCapacity, NotFound, NovitaError, Rejected, Unavailable
from instances.novita.pace import Rank
from instances.observation import observe
from instances.operations.wishes import locked_instance
from instances.phases import refresh_phase
from instances.placement import Candidate, Placement, Wish
from instances.readings import reading_of
from instances.vouching import locked_account

MOST_ENVS = 100  # Novita takes no more


def call_create(job: Job, instance: Instance, client: Novita) -> None:
    """One attempt at the best candidate left."""
    now = timezone.now()
    try:
        refused = too_poor() or fill_in(instance, client, now)
        if refused is not None:
            outcomes.finish(job, refused, now=now)
            return
        ranked = placement_of(job, instance, client, now, wish=_wish_of(job, instance))
    except NovitaError as error:
        outcomes.not_sent(job, error, now=now, at=outcomes.again_at(error, job.attempts + 1, now))
        return
    if not ranked.candidates:
        none_left(job, ranked, now)
        return
    candidate = ranked.candidates[0]
    request = create_request(instance, candidate)  # before the intent: what cannot be read is no attempt
    reach("create.before_intent")
    machine = _write_intent(job, instance, candidate, ranked)
    reach("create.after_intent")
    if machine is None:
        return
    reach("create.before_call")
    if not may_call(job):
        return
    try:
        novita_id = client.create_instance(identified(request, machine.correlation_id or ""))
    except NovitaError as error:
        reach("create.after_call")
        _failed(job, machine, candidate, ranked, error)
        return
    reach("create.after_call")
    made(job, machine, novita_id)
    reach("create.after_store")


def look(job: Job, machine: Machine | None, client: Novita) -> None:
    """Search for what an unanswered create may have made, by the name filter; not finding it proves nothing."""
    if machine is None or machine.correlation_id is None:
        outcomes.wait(job, Step(act=Act.WAIT, reason="waits for a complete list"), now=timezone.now())
        return
    try:
        # The suffix alone is asked for: it is what the proof rests on, whatever became of the name before it.
        found = client.list_instances(name=machine.correlation_id, rank=Rank.WRITE)
    except NovitaError as error:
        now = timezone.now()
        reason = f"looks for what the create may have made: {error.message}"
        outcomes.wait(job, Step(act=Act.WAIT, reason=reason, at=now + LOOK_EVERY), now=now)
        return
    now = timezone.now()
    for remote in found.instances:
        if correlation_id_in(remote.name) == machine.correlation_id:
            with transaction.atomic():
                account = locked_account()
                machine = Machine.objects.get(pk=machine.pk)
                resolve_attempt(machine, remote.id, now=now, how="found at Novita by its correlation id")
                if machine.novita_id is None:
                    break  # somebody adopted it: it is theirs
                observe(machine, reading_of(remote), began_at=found.began_at, now=now, account=account)
            outcomes.accepted(job, now=now)
            return
    reason = "looks for what the create may have made, until a complete list after the settle period"
    outcomes.wait(job, Step(act=Act.WAIT, reason=reason, at=now + LOOK_EVERY), now=now)


def start_over(job: Job, instance: Instance, step: Step) -> None:
    """The attempt is proven to have made nothing: give it up, and let the same job make a new one."""
    now = timezone.now()
    with transaction.atomic():
        fresh = locked_instance(instance.pk)
        if not store(
            job,
            state=JobState.QUEUED,
            called_at=None,
            call_ended_at=None,
            call_outcome="",
            lease_until=None,
            next_attempt_at=now,
        ):
            return
        outcomes.give_up_attempt(fresh, now)
        record("job.create_attempt_given_up", at=now, actor=SYSTEM, instance=fresh, job=job, reason=step.reason)
        refresh_phase(fresh, now=now)


def create_request(instance: Instance, candidate: Candidate) -> CreateRequest:
    """The body of the create, before it bears the correlation id. Raises UnreadableSecretError."""
    return CreateRequest(
        name=instance.name,
        product_id=candidate.product_id,
        image_url=instance.image_url,
        gpu_num=instance.gpu_num,
        rootfs_size_gb=instance.rootfs_size_gb,
        image_auth_id=instance.registry_auth_id,
        ports=tuple((one["port"], one["type"]) for one in instance.ports),
        envs={one["key"]: one["value"] for one in instance.envs or []},
        tools=tuple(Tool(name=one["name"], port=one["port"], type=one["type"]) for one in instance.tools),
        command=instance.command,
        entrypoint=instance.entrypoint,
        cluster_id=candidate.cluster_id,
        network_storages=tuple(
            NetworkMount(storage_id=one["id"], mount_point=one.get("mount_path", "/network"))
            for one in instance.network_storages
        ),
        billing_mode=candidate.billing_mode,
        min_cuda_version=instance.min_cuda_version,
    )


def identified(request: CreateRequest, correlation_id: str) -> CreateRequest:
    """With the correlation id in its name, which is the proof, and in its environment where there is room, as a witness."""
    envs = dict(request.envs)
    if len(envs) < MOST_ENVS:
        envs[ENVIRONMENT_NAME] = correlation_id
    return replace(request, name=provider_name(request.name, correlation_id), envs=envs)


def too_poor() -> Step | None:
    """Refuse to open a bill below MIN_BALANCE_USD."""
    reason = balance.too_poor(ProviderAccount.objects.filter(pk=1).first())
    return Step(act=Act.FAIL, code="no_money", reason=reason) if reason else None


def _wish_of(job: Job, instance: Instance) -> Wish:
    """As it was asked for; one made anew after a reclaim is never dearer than it was where the request names no cap."""
    wish = catalogue.wish_of(instance)
    cap = job.arguments.get("max_price")
    return wish if cap is None else replace(wish, max_price_usd_per_hour=Decimal(cap))


def placement_of(job: Job, instance: Instance, client: Novita, now: datetime, *, wish: Wish) -> Placement:
    """The offers as they are now, less what Novita refused in the round that goes on; kept on the job for people to see."""
    offers = catalogue.fresh_offers(client, wish=wish, gpu_num=instance.gpu_num, now=now)
    ranked = rounds.carried_over(placement.from_dict(job.placement), placement.rank(wish, offers), now=now)
    store(job, placement=placement.to_dict(ranked))
    return ranked


def rank_again(now: datetime) -> Step:
    """The offer that was chosen may not be taken any more: the next claim ranks by what is asked for by then."""
    return Step(act=Act.WAIT, reason="its price cap or its fallback was changed: offers are ranked anew", at=now)


def none_left(job: Job, ranked: Placement, now: datetime) -> None:
    reasons = "; ".join(sorted({f"{one.product_name} in {one.region}: {one.reason}" for one in ranked.refused})[:20])
    if job.patience_until is not None and now < job.patience_until:
        at = min(now + capacity_gap(job.attempts + 1), job.patience_until)
        store(job, placement=placement.to_dict(rounds.ended(ranked)))
        step = Step(act=Act.WAIT, code="no_capacity", reason=f"waits for capacity: {reasons}"[:2000], at=at)
        outcomes.wait(job, step, now=now)
        return
    verdict = f"no offer fits: {reasons or 'Novita offers no such product'}"
    outcomes.finish(job, Step(act=Act.FAIL, code="no_capacity", reason=verdict[:2000]), now=now)


def _write_intent(job: Job, instance: Instance, candidate: Candidate, ranked: Placement) -> Machine | None:
    """The attempt's row and the mark that the call is about to be made, in one transaction.

    None: the claim was lost, an earlier attempt made it, or what may be paid has changed since the offers were ranked.
    """
    now = timezone.now()
    with transaction.atomic():
        fresh = locked_instance(instance.pk)
        if fresh.machine is not None and fresh.machine.novita_id is not None:
            # An earlier attempt turned up while offers were read: it is taken, and nothing more is made.
            outcomes.wait(job, Step(act=Act.WAIT, reason="an earlier attempt made it", at=now), now=now)
            return None
        if not placement.admits(_wish_of(job, fresh), candidate):
            outcomes.wait(job, rank_again(now), now=now)
            return None
        if not store(
            job,
            state=JobState.SENT,
            **lease(),
            called_at=now,
            call_ended_at=None,
            call_outcome="",
            attempts=job.attempts + 1,
            placement=placement.to_dict(ranked),
        ):
            return None
        machine = fresh.machine
        if machine is None or machine.called_at is not None:
            machine = Machine(instance=fresh, correlation_id=new_correlation_id(), created_at=now)
        machine.called_at, machine.given_up_at = now, None
        machine.cluster_id, machine.region = candidate.cluster_id, candidate.region
        machine.product_id, machine.product_name = candidate.product_id, candidate.product_name
        machine.gpu_num, machine.billing_mode = fresh.gpu_num, candidate.billing_mode
        machine.price_usd_per_hour = candidate.price_usd_per_hour
        machine.save()
        fresh.machine = machine
        fresh.save(update_fields=["machine"])
        record(
            "job.create_sent",
            at=now,
            actor=SYSTEM,
            instance=fresh,
            job=job,
            reason=f"offer {candidate.rank}: {candidate.product_name} in {candidate.region}, {candidate.billing_mode}",
            after={**placement.as_dict(candidate), "correlation_id": machine.correlation_id, "attempt": job.attempts},
        )
        refresh_phase(fresh, now=now)
        return machine


def made(job: Job, machine: Machine, novita_id: str) -> None:
    """Store the id, which is a fact, whoever holds the claim by now; then the verdict."""
    now = timezone.now()
    with transaction.atomic():
        locked_account()
        machine = Machine.objects.get(pk=machine.pk)
        resolve_attempt(machine, novita_id, now=now, how="Novita answered with its id")
    outcomes.accepted(job, now=now)


def _failed(job: Job, machine: Machine, candidate: Candidate, ranked: Placement, error: NovitaError) -> None:
    now = timezone.now()
    if not isinstance(error, Rejected | Unavailable):
        outcomes.unclear(job, now=now, error=error)
        return
    with transaction.atomic():
        fresh = locked_instance(job.instance_id)
        if isinstance(error, Unavailable | AuthFailed):
            Machine.objects.filter(pk=machine.pk, novita_id=None).update(called_at=None)
        else:
            outcomes.give_up_attempt(fresh, now)
    after_refusal(job, candidate, ranked, error, now)


def after_refusal(job: Job, candidate: Candidate, ranked: Placement, error: NovitaError, now: datetime) -> None:
    """What comes next once Novita made nothing: it is asked again, for the next offer, or the job fails."""
    if isinstance(error, AuthFailed):
        outcomes.key_refused(job, error, now=now)
    elif isinstance(error, Unavailable):
        outcomes.not_sent(job, error, now=now, at=outcomes.again_at(error, job.attempts, now))
    elif isinstance(error, NoCapacity | NotFound):
        next_candidate(job, candidate, ranked, error, now)
    else:
        outcomes.finish(job, Step(act=Act.FAIL, code=error.code, reason=error.message), now=now)


def next_candidate(job: Job, candidate: Candidate, ranked: Placement, error: NovitaError, now: datetime) -> None:
    left = rounds.refuse(ranked, candidate, code=error.code, reason=error.message, now=now)
    with transaction.atomic():
        fresh = locked_instance(job.instance_id)
        if store(job, placement=placement.to_dict(left)):
            record(
                "job.create_refused",
                at=now,
                actor=SYSTEM,
                instance=fresh,
                job=job,
                reason=f"Novita refused {candidate.product_name} in {candidate.region}: {error.message}",
            )
    if left.candidates:
        outcomes.not_sent(job, error, now=now, at=now)
    else:
        store(job, called_at=None, call_outcome="")  # the refused attempt made nothing
        none_left(job, left, now)
