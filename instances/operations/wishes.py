"""Wishes: running, stopped, deleted. A wish is written together with the job that pursues it."""

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from instances.events import Actor, record
from instances.lifecycle import Observed, Phase, Verb, Wanted, next_verb, shows
from instances.models import Instance
from instances.operations.jobs import derive_job, has_undone_call, open_job, supersede, write_wish
from instances.operations.refusals import NameTaken, Protected, Unmanaged, WrongPhase
from instances.phases import current_job, refresh_phase


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSpec:
    """What a create asks for, its template's fields already filled in. Sizes in GB, money in USD for the whole instance.

    `regions` is empty where none was named and ("any",) where all compete; `health_check` is {} for any exposed port, None
    for none, else {"http": {...}} and/or {"tcp": {...}}.
    """

    name: str
    product_name: str = ""
    product_id: str = ""
    gpu_num: int = 1
    rootfs_size_gb: int = 60
    regions: tuple[str, ...] = ()
    billing_mode: str = "spot"
    max_price_usd_per_hour: Decimal | None = None
    fallback_to_on_demand: bool = False
    network_storages: tuple[dict[str, str], ...] = ()
    template_id: str = ""
    image_url: str = ""
    ports: tuple[dict[str, Any], ...] = ()
    envs: tuple[dict[str, str], ...] = field(default=(), repr=False)
    command: str = ""
    entrypoint: str = ""
    registry_auth_id: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    min_cuda_version: str = ""
    wait_for_capacity: timedelta = timedelta(0)
    auto_stop_mode: str = "enforce"
    auto_stop_threshold: timedelta | None = None
    stop_at: datetime | None = None
    auto_stop_policy: str = ""
    health_check: dict[str, Any] | None = field(default_factory=dict)
    webhook_url: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    owner: str = ""
    protected: bool = False
    local_data: str = ""
    on_startup_timeout: str = "alarm"
    on_reclaim: dict[str, str] = field(default_factory=dict)


_LISTS = ("regions", "network_storages", "ports", "envs", "tools")


def request_create(spec: InstanceSpec, *, actor: Actor, reason: str, now: datetime) -> Instance:
    """Write the instance, its wish and its create job. Raises NameTaken where a live managed instance has the name."""
    columns = asdict(spec)
    for name in _LISTS:
        columns[name] = list(columns[name])
    columns["local_data"] = spec.local_data or ("disposable" if spec.billing_mode == "spot" else "precious")
    try:
        with transaction.atomic():
            instance = Instance.objects.create(
                **columns,
                wanted=Wanted.RUNNING,
                wanted_at=now,
                wanted_by_kind=actor.kind,
                wanted_by_name=actor.name,
                wanted_reason=reason[:500],
                phase_reason="create is asked for and not sent to Novita yet",
                phase_since=now,
                created_at=now,
            )
            record(
                "instance.requested",
                at=now,
                actor=actor,
                instance=instance,
                reason=reason,
                after={
                    "name": spec.name,
                    "product": spec.product_id or spec.product_name,
                    "billing_mode": spec.billing_mode,
                },
            )
            open_job(
                instance,
                Verb.CREATE,
                actor=actor,
                reason=reason,
                now=now,
                patience_until=now + spec.wait_for_capacity,
            )
            refresh_phase(instance, now=now, actor=actor)
    except IntegrityError as error:
        if Instance.objects.managed().not_ended().filter(name__iexact=spec.name).exists():
            raise NameTaken(f"a managed instance named {spec.name!r} exists: choose another name", field="name") from error
        raise
    return instance


def request_start(instance_id: UUID, *, actor: Actor, reason: str, now: datetime) -> Instance:
    """Wish it running. Asked again, or of one that runs, it changes nothing."""
    with transaction.atomic():
        instance = managed_instance(instance_id)
        if instance.observed is Observed.REMOVING:
            raise WrongPhase("Novita is removing it: create a new one")
        if instance.wanted == Wanted.DELETED:
            raise WrongPhase("it is being deleted: create a new one")
        return _wish(instance, Wanted.RUNNING, actor=actor, reason=reason, now=now)


def request_stop(instance_id: UUID, *, actor: Actor, reason: str, now: datetime) -> Instance:
    """Wish it stopped. A rule may not stop a protected one; the flag is read in the transaction that writes the job."""
    with transaction.atomic():
        instance = managed_instance(instance_id)
        if instance.protected and actor.kind == "rule":
            raise Protected("it is protected: rules leave it alone")
        if instance.wanted == Wanted.DELETED:
            raise WrongPhase("it is being deleted already")
        return _wish(instance, Wanted.STOPPED, actor=actor, reason=reason, now=now)


def request_delete(instance_id: UUID, *, actor: Actor, reason: str, now: datetime) -> Instance:
    """Wish it deleted, in any living state. Raises Protected while its flag is set."""
    with transaction.atomic():
        instance = locked_instance(instance_id)
        if instance.phase == Phase.DELETED:
            return instance
        _refuse_unmanaged(instance)
        _refuse_ended(instance)
        if instance.protected:
            raise Protected("it is protected: take the protection off first")
        return _wish(instance, Wanted.DELETED, actor=actor, reason=reason, now=now)


def locked_instance(instance_id: UUID) -> Instance:
    """The row with its machine, locked for this transaction. Raises Instance.DoesNotExist."""
    return Instance.objects.select_for_update(of=("self",)).select_related("machine").get(pk=instance_id)


def managed_instance(instance_id: UUID) -> Instance:
    """As `locked_instance`; raises Unmanaged or WrongPhase for one that is not ours or has ended."""
    instance = locked_instance(instance_id)
    _refuse_unmanaged(instance)
    _refuse_ended(instance)
    return instance


def _refuse_unmanaged(instance: Instance) -> None:
    if not instance.managed:
        raise Unmanaged("it was not made here and is left alone: adopt it first")


def _refuse_ended(instance: Instance) -> None:
    if instance.has_ended:
        raise WrongPhase(f"it is {instance.phase}: nothing can be asked of it")


def _wish(instance: Instance, wanted: Wanted, *, actor: Actor, reason: str, now: datetime) -> Instance:
    if instance.wanted == wanted and _is_pursued(instance):
        _make_it_theirs(instance, actor=actor, reason=reason, now=now)
        return instance
    before = instance.wanted
    settling = supersede(instance, now=now, actor=actor, reason=f"{wanted} is wanted now: {reason}"[:1000])
    met_at = now if settling is None and _already(instance, wanted) else None
    write_wish(instance, wanted, actor=actor, reason=reason, now=now, met_at=met_at, failure="")
    record(
        f"instance.{wanted}_wanted",
        at=now,
        actor=actor,
        instance=instance,
        reason=reason,
        before={"wanted": before},
        after={"wanted": str(wanted)},
    )
    if settling is None:
        derive_job(instance, now=now)
    refresh_phase(instance, now=now, actor=actor, reason=reason)
    return instance


def _make_it_theirs(instance: Instance, *, actor: Actor, reason: str, now: datetime) -> None:
    """What a rule wanted, and somebody now wants too, is theirs from now on: no rule undoes what a person asked for."""
    if instance.wanted_by_kind != "rule" or actor.kind == "rule":
        return
    before = {"wanted": instance.wanted, "by": instance.wanted_by_name}
    instance.wanted_by_kind, instance.wanted_by_name, instance.wanted_reason = actor.kind, actor.name, reason[:500]
    instance.save(update_fields=["wanted_by_kind", "wanted_by_name", "wanted_reason"])
    after = {"wanted": instance.wanted, "by": actor.name}
    record(
        f"instance.{instance.wanted}_wanted",
        at=now,
        actor=actor,
        instance=instance,
        reason=reason,
        before=before,
        after=after,
    )


def _is_pursued(instance: Instance) -> bool:
    """Whether the standing wish is met or has its job. One that was met, and is so no longer, is a wish anew."""
    if current_job(instance) is not None:
        return True
    return instance.met and next_verb(instance.wanted, False, instance.observed) is None


def _already(instance: Instance, wanted: Wanted) -> bool:
    """Whether what is observed meets the wish with no call of ours on its way that could still change it."""
    return shows(wanted, instance.observed) and not has_undone_call(instance)
