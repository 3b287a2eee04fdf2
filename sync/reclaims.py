"""Reclaims of spot instances: each due one is decided, acted on through `operations`, and told with its reason.

A sign brings the pass forward to the poll that sees it; the sweep every MIGRATION_INTERVAL_MINUTES is for what was left.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from instances.alarms import clear_alarm, raise_alarm
from instances.events import Actor
from instances.failpoints import reach
from instances.lifecycle import Verb
from instances.models import Instance, Reclaim
from instances.models.reclaim import OPEN_RECLAIMS, ReclaimState
from instances.novita.errors import NovitaError
from instances.operations import (
    OperationRefused,
    auto_migrate_due,
    destruction_hold_reason,
    hold_reason,
    request_auto_migrate_off,
    request_recreation,
    request_revival,
)
from instances.operations.wishes import locked_instance
from instances.periodic import Claim, bring_forward, claim, finish, renew
from instances.provider import novita
from instances.reclaims import ALARM, RULE, WORK, end, note_sign, tell_migrated
from instances.rule_pace import act_limit
from instances.set_aside import SetAside, gap
from instances.spot import NOTICE_WORDS
from instances.vouching import locked_account
from sync.reclaim_decision import ACTS, Action, ReclaimDecision, decide_reclaim, paced
from sync.reclaim_facts import Scene, facts_of

log = structlog.get_logger("sync")

LEASE = timedelta(minutes=1)  # longer than a list of Novita's jobs takes; renewed after it and with each instance
ASIDE = "reclaim"
SWITCHES_A_PASS = 20
LATE = timedelta(hours=1)
_JOBS_SINCE = timedelta(days=1)
_PROVIDER_JOBS = ("saveImage", "instanceMigrate", "autoInstanceMigrate")
_ENDED_JOBS = ("success", "fail", "break")
_VERBS = {
    Action.START: Verb.START,
    Action.MIGRATE: Verb.MIGRATE,
    Action.REPLACE: Verb.REPLACE,
    Action.SAVE_IMAGE: Verb.SAVE_IMAGE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One spot instance, what was decided of it, and whether that was asked for."""

    instance_id: UUID
    name: str
    novita_id: str
    decision: ReclaimDecision
    acted: bool
    reclaim_id: int | None = None


def act_if_due(now: datetime) -> str:
    """The pass of the lane: reclaims that are due, and those the sweep finds."""
    held = claim(WORK, every=settings.MIGRATION_INTERVAL, lease=LEASE, now=now)
    acted = 0 if held is None else _act(held, now)
    switch_auto_migrate_off(now)
    return f"{acted} reclaims acted on" if acted else ""


def _act(held: Claim, now: datetime) -> int:
    _open_missed(now)
    due = list(Reclaim.objects.filter(state__in=OPEN_RECLAIMS, next_at__lte=now).select_related("instance", "machine"))
    items = _pass([one.instance for one in due], now=now, goes_on=lambda: renew(held, now=timezone.now()))
    acted = sum(item.acted for item in items)
    with transaction.atomic():  # a pass that ended and left no time for what waits would be found by the sweep alone
        finish(held, now=timezone.now(), ok=True, detail=f"{len(items)} looked at, {acted} acted on")
        upcoming = Reclaim.objects.filter(state__in=OPEN_RECLAIMS, next_at__isnull=False).order_by("next_at").first()
        if upcoming is not None and upcoming.next_at is not None:
            bring_forward(WORK, to=upcoming.next_at)
    return acted


def revive(*, now: datetime, dry_run: bool, actor: Actor = RULE) -> list[Item]:
    """Decide on every managed spot instance, due or not; act on those that are to come back, unless `dry_run`."""
    if not dry_run:
        _open_missed(now)
    spot = Instance.objects.managed().not_ended().filter(machine__billing_mode="spot").order_by("name")
    return _pass(list(spot), now=now, actor=actor, dry_run=dry_run)


def switch_auto_migrate_off(now: datetime) -> int:
    """By a job each, for instances made here, since two that move a machine would race. Adopted ones stay as they are."""
    due = auto_migrate_due(SWITCHES_A_PASS, now=now) if settings.MIGRATION_ENABLED else []
    if not due or hold_reason(now):
        return 0
    opened = 0
    for instance_id in due:
        with suppress(OperationRefused), transaction.atomic():
            locked_account()  # after whatever is being observed, so that events stand in the order of their times
            opened += request_auto_migrate_off(instance_id, actor=RULE, now=timezone.now()) is not None
    return opened


def most_acts() -> int:
    """How many acts a pass may do: the setting, else 5 or 20 % of the managed spot instances."""
    if settings.MIGRATION_MOST_PER_PASS:
        return int(settings.MIGRATION_MOST_PER_PASS)
    fleet = Instance.objects.managed().not_ended().filter(machine__billing_mode="spot").count()
    return act_limit(fleet)


def _open_missed(now: datetime) -> None:
    """Signs on record without a reclaim, as of instances that were adopted after theirs was read."""
    signs = (
        Instance.objects.managed()
        .not_ended()
        .filter(machine__billing_mode="spot", machine__reclaim_at__isnull=False, machine__reclaims=None)
    )
    missed = signs.filter(machine__status__iexact="exited") | signs.filter(machine__spot_status__in=NOTICE_WORDS)
    aside = SetAside("reclaim sign", now=now)
    for found in missed.only("id", "name").distinct():
        with aside.around(found), transaction.atomic():
            instance = locked_instance(found.pk)
            if instance.machine is not None:
                note_sign(instance, instance.machine, began_at=instance.machine.observed_at or now, now=now)


def _pass(
    instances: Iterable[Instance],
    *,
    now: datetime,
    actor: Actor = RULE,
    dry_run: bool = False,
    goes_on: Callable[[], bool] = lambda: True,
) -> list[Item]:
    instances = list(instances)
    if not instances:
        return []
    scene = Scene(
        held=hold_reason(now),
        destruction_held=destruction_hold_reason(now),
        provider_jobs=_provider_jobs(instances, now),
        now=now,
    )
    left, aside = most_acts(), SetAside(ASIDE, now=now)
    items: list[Item] = []
    for instance in instances:
        if not goes_on():
            break  # another worker has the pass by now
        found = len(items)
        with aside.around(instance):
            items.append(_one(instance, scene, actor=actor, dry_run=dry_run, left=left))
            left -= items[-1].decision.acts and (items[-1].acted or dry_run)
        if len(items) == found:
            later = now + gap(f"{ASIDE}:{instance.pk}", now=now)
            Reclaim.objects.filter(instance=instance, state__in=OPEN_RECLAIMS).update(next_at=later)
    return items


def _provider_jobs(instances: list[Instance], now: datetime) -> dict[str, str] | None:
    """The kind of the job of Novita's that runs on each, by its id at Novita; None where that could not be read."""
    if not Reclaim.objects.filter(instance__in=instances, state__in=OPEN_RECLAIMS).exists():
        return {}
    try:
        jobs = novita().list_jobs(since=now - _JOBS_SINCE)
    except NovitaError as error:
        log.info("reclaims.jobs_unread", error=error.code)
        return None
    running = [one for one in jobs if one.type in _PROVIDER_JOBS and one.state and one.state.lower() not in _ENDED_JOBS]
    return {one.instance_id: one.type for one in running}


def _one(instance: Instance, scene: Scene, *, actor: Actor, dry_run: bool, left: int) -> Item:
    """Decided under the row's lock, from rows read under it; what it asks for is written in the same transaction."""
    with transaction.atomic():
        locked_account()
        fresh = locked_instance(instance.pk)
        scene = replace(scene, now=max(scene.now, timezone.now()))  # what is told follows what was told before
        opened = Reclaim.objects.select_for_update(of=("self",)).filter(instance=fresh, state__in=OPEN_RECLAIMS).first()
        decision = decide_reclaim(facts_of(fresh, opened, scene))
        if decision.acts and left <= 0:
            decision = paced(decision, most_acts(), scene.now)
        acted = False
        if opened is not None and not dry_run:
            reach(f"reclaim.{decision.action}.before_store")
            acted = _carry_out(opened, fresh, decision, actor=actor, now=scene.now)
    if acted:
        reach(f"reclaim.{decision.action}.after_store")
    novita_id = (fresh.machine.novita_id or "") if fresh.machine else ""
    return Item(
        instance_id=fresh.pk,
        name=fresh.name,
        novita_id=novita_id,
        decision=decision,
        acted=acted,
        reclaim_id=opened.pk if opened else None,
    )


def _carry_out(opened: Reclaim, instance: Instance, decision: ReclaimDecision, *, actor: Actor, now: datetime) -> bool:
    if decision.action is Action.END:
        state = ReclaimState.FAILED if decision.failed else ReclaimState.DONE
        back = decision.outcome.startswith("back")
        if decision.outcome == "back" and _was_moved(opened):
            tell_migrated(opened, instance, now=now)
        end(
            opened,
            instance,
            outcome=decision.outcome,
            reason=decision.reason,
            now=now,
            state=state,
            back_at=(instance.ready_at if decision.outcome == "back" else now) if back else None,
        )
        return False
    _note(opened, instance, decision, now)
    _warn(opened, instance, decision, now)
    if not decision.acts:
        return False
    try:
        with transaction.atomic():
            _ask(opened, instance, decision, actor=actor, now=now)
    except OperationRefused as refused:
        Reclaim.objects.filter(pk=opened.pk).update(next_at=now + timedelta(seconds=5), reason=refused.detail[:1000])
        return False
    return True


def _ask(opened: Reclaim, instance: Instance, decision: ReclaimDecision, *, actor: Actor, now: datetime) -> None:
    if decision.action is Action.RECREATE:
        cap = None if instance.max_price_usd_per_hour is not None else opened.price_before_usd_per_hour
        request_recreation(opened, max_price=cap, actor=actor, reason=decision.reason, now=now)
        return
    arguments = {}
    if decision.action is Action.SAVE_IMAGE:
        arguments = {"image": instance.on_reclaim["save_image"], "registry_auth_id": instance.registry_auth_id}
    request_revival(opened, _VERBS[decision.action], actor=actor, reason=decision.reason, now=now, **arguments)


def _note(opened: Reclaim, instance: Instance, decision: ReclaimDecision, now: datetime) -> None:
    """What is decided, on the record and as the instance's next action."""
    if opened.state == ReclaimState.SEEN:
        opened.state = ReclaimState.DECIDED
    opened.action, opened.code, opened.reason = decision.action, decision.code, decision.reason[:1000]
    opened.decided_at, opened.next_at = now, _look_at(opened, decision, now)
    opened.save(update_fields=["state", "action", "code", "reason", "decided_at", "next_at"])
    what = "bring_back" if decision.action in (*ACTS, Action.WAIT) else "ask"
    at = decision.at or now
    instance.next_sync_action = {"what": what, "at": at.isoformat(), "why": decision.reason[:500]}
    instance.save(update_fields=["next_sync_action"])


def _look_at(opened: Reclaim, decision: ReclaimDecision, now: datetime) -> datetime | None:
    """When it is due again: as decided, or once it has been away so long that people must hear of it."""
    late_at = opened.taken_at + LATE + timedelta(seconds=1) if opened.taken_at else None
    return min(decision.at, late_at) if decision.at and late_at and late_at > now else decision.at


def _warn(opened: Reclaim, instance: Instance, decision: ReclaimDecision, now: datetime) -> None:
    """One alarm while a person must say something or it stays away, with the next try and how long its data is kept."""
    tried = [one for one in opened.tries if one["verb"] != Verb.SAVE_IMAGE]
    away_long = opened.taken_at is not None and now - opened.taken_at > LATE
    waits = decision.action is Action.WAIT and decision.code == "gap" and len(tried) >= _TRIES_BEFORE_WARNING
    precious = instance.local_data == "precious" and opened.taken_at is None and decision.code == "notified"
    if not (decision.action is Action.ASK or away_long or waits or precious):
        clear_alarm(ALARM, str(instance.pk), now=now)
        return
    machine = instance.machine
    purged = machine.data_purged_at if machine else None
    text = f"{instance.name}: {decision.reason}"
    if purged is not None and opened.taken_at is not None and "keeps its data" not in text:
        text += f"; Novita keeps its data until {purged:%Y-%m-%d %H:%M} UTC"
    remedy = "Start it, move it, or stop it: what you ask for ends this"
    raise_alarm(ALARM, str(instance.pk), text=text, remedy=remedy, now=now, instance=instance, level=int(away_long))


_TRIES_BEFORE_WARNING = 3


def _was_moved(opened: Reclaim) -> bool:
    last = opened.tries[-1] if opened.tries else None
    return last is not None and last["verb"] in (Verb.MIGRATE, Verb.REPLACE, Verb.CREATE)
