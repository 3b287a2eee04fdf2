"""Spot instances that Novita took back: which are brought back, and why not the others. First form: start in place.

`start` keeps the disks. One that was meant to stop is never revived: only a wish for running that was met counts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from instances.events import Actor
from instances.lifecycle import Observed, Wanted
from instances.models import Instance
from instances.operations import OperationRefused, hold_reason, request_revival
from instances.periodic import claim, finish
from instances.phases import current_job
from instances.spot import is_reclaimed

RULE = Actor(kind="rule", name="reclaim")
LEASE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReclaimFacts:
    wanted: str
    met: bool
    observed: Observed
    reclaimed: bool
    job_open: bool = False
    held: str = ""  # why automation is held, or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReclaimDecision:
    start: bool
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    instance_id: UUID
    name: str
    novita_id: str
    decision: ReclaimDecision
    started: bool


def decide_reclaim(facts: ReclaimFacts) -> ReclaimDecision:
    """Whether to start it in place, with the reason either way. Pure."""
    if not facts.reclaimed or facts.observed is not Observed.EXITED:
        return ReclaimDecision(start=False, code="not_reclaimed", reason=f"Novita shows it {facts.observed}, not taken back")
    if facts.wanted != Wanted.RUNNING:
        return ReclaimDecision(
            start=False, code="not_wanted", reason=f"it is wanted {facts.wanted or 'nothing'}, not running"
        )
    if facts.job_open:
        return ReclaimDecision(start=False, code="job_open", reason="a job of it is open")
    if facts.held:
        return ReclaimDecision(start=False, code="held", reason=facts.held)
    return ReclaimDecision(start=True, code="start", reason="Novita took it back and it is wanted running: start in place")


def revive_if_due(now: datetime) -> None:
    """The sweep, every MIGRATION_INTERVAL_MINUTES."""
    if not settings.MIGRATION_ENABLED:
        return
    held = claim("reclaims", every=settings.MIGRATION_INTERVAL, lease=LEASE, now=now)
    if held is None:
        return
    items = revive(now=now, dry_run=False)
    finish(held, now=timezone.now(), ok=True, detail=f"{sum(item.started for item in items)} started")


def revive(*, now: datetime, dry_run: bool, actor: Actor = RULE) -> list[Item]:
    """Decide on every managed spot instance; start those that are to come back, unless `dry_run`."""
    spot = Instance.objects.managed().not_ended().filter(machine__billing_mode="spot").select_related("machine")
    reason = hold_reason(now)
    found = []
    for instance in spot.order_by("name"):
        decision = decide_reclaim(_facts(instance, reason))
        started = decision.start and not dry_run and _start(instance, actor, decision, now)
        novita_id = (instance.machine.novita_id or "") if instance.machine else ""
        found.append(
            Item(instance_id=instance.pk, name=instance.name, novita_id=novita_id, decision=decision, started=started)
        )
    return found


def _facts(instance: Instance, held: str) -> ReclaimFacts:
    return ReclaimFacts(
        wanted=instance.wanted,
        met=instance.met,
        observed=instance.observed,
        reclaimed=instance.machine is not None and is_reclaimed(instance.machine),
        job_open=current_job(instance) is not None,
        held=held or _doubted(instance),
    )


def _doubted(instance: Instance) -> str:
    machine = instance.machine
    return "Novita's lists lack it and are not believed yet" if machine and machine.unverified_since else ""


def _start(instance: Instance, actor: Actor, decision: ReclaimDecision, now: datetime) -> bool:
    try:
        with transaction.atomic():
            request_revival(instance.pk, actor=actor, reason=decision.reason, now=now)
    except OperationRefused:
        return False
    return True
