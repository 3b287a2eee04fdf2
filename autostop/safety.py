"""When no rule may act: paused, frozen, or on data that cannot be believed. And alarms for what should have been done."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from autostop.decide_facts import Hold, Mode
from autostop.decide_signals import OLDEST_SAMPLE
from autostop.facts import Scene, Standing, is_billed, policy_if_known, watch_of
from autostop.models import PassRun, PolicyMode
from autostop.policies import DEFAULT, Policies, read_policies
from autostop.words import clock_words, duration_words
from instances.alarms import clear_alarm, raise_alarm
from instances.lifecycle import Observed
from instances.models import Alarm, AutomationPause, Instance, ProviderAccount
from instances.periodic import claim, finish
from instances.set_aside import SetAside

METRICS_ALARM = "metrics_missing"
LIST_ALARM = "auto_stop_list"
STALE_ALARM = "auto_stop_stale"
NOT_EVALUATED_ALARM = "auto_stop_not_evaluated"
POLICY_ALARM = "auto_stop_policy_unreadable"
WORK = "auto-stop"
_FEWEST_JUDGED = 4
_SHORTEST_LIST_AGE = timedelta(minutes=5)
_WATCHDOG = "auto_stop_watchdog"
_WATCHDOG_EVERY = timedelta(seconds=30)


def standing_at(now: datetime) -> Standing:
    """Two queries: whether the account and its list can be believed, and the pause of automation."""
    account = ProviderAccount.objects.filter(pk=1).first()
    doubt = _doubt(account, now)
    if doubt:
        return Standing(hold=Hold.FROZEN, reason=doubt)
    pause = AutomationPause.objects.filter(pk=1).first()
    if pause is not None and pause.paused_until is not None and pause.holds(now):
        why = f" ({pause.reason})" if pause.reason else ""
        return Standing(hold=Hold.PAUSED, reason=f"automation is paused until {clock_words(pause.paused_until)}{why}")
    return Standing()


def stale_after() -> timedelta:
    """Decisions older than this are not acted on, and who was not evaluated for so long is alarmed."""
    return 2 * settings.AUTO_STOP_INTERVAL


def _doubt(account: ProviderAccount | None, now: datetime) -> str:
    """Why what Novita lists cannot be believed now, or ""."""
    if account is None:
        return ""
    if account.frozen_since is not None:
        why = f" ({account.frozen_reason})" if account.frozen_reason else ""
        return f"the account is frozen since {clock_words(account.frozen_since)}{why}"
    if account.doubted_since is not None:
        return f"what Novita lists is not believed since {clock_words(account.doubted_since)} ({account.doubt_reason})"
    listed = account.complete_list_at
    limit = max(stale_after(), 3 * settings.INSTANCE_POLL_INTERVAL, _SHORTEST_LIST_AGE)
    if listed is not None and now - listed > limit:
        return f"the newest complete list of Novita is {duration_words(now - listed)} old"
    return ""


def with_metrics_seen(
    standing: Standing, instances: Iterable[Instance], scene: Scene, newest: Mapping[int, int]
) -> Standing:
    """No stop for idleness while more than half of all metrics are missing: then it is Novita that does not measure.

    `newest` holds the newest sample of each machine in epoch seconds. Who was not asked about yet does not count.
    """
    watched = [one for one in instances if is_judged(one, scene)]
    missing = sum(_is_missing(one, scene, newest.get(one.machine_id or 0, 0)) for one in watched)
    if len(watched) < _FEWEST_JUDGED or missing * 2 <= len(watched):
        return standing
    reason = f"metrics of {missing} of {len(watched)} running instances are missing: nothing is stopped for idleness"
    return replace(standing, idle_hold=Hold.METRICS, idle_reason=reason)


def is_judged(instance: Instance, scene: Scene) -> bool:
    """Whether its metrics were asked for, should be there by now, and would be judged."""
    machine, watch = instance.machine, watch_of(instance)
    if machine is None or machine.running_since is None or instance.observed is not Observed.RUNNING:
        return False
    asked = machine.pk in scene.read_now or (watch is not None and bool(watch.read_at or watch.error))
    policy = policy_if_known(instance, scene.policies)
    if not asked or instance.auto_stop_mode == Mode.OFF or policy is None or policy.mode == PolicyMode.OFF:
        return False
    return scene.now - machine.running_since > 2 * OLDEST_SAMPLE


def _is_missing(instance: Instance, scene: Scene, newest: int) -> bool:
    """Whether the last time it was asked about nothing came, or nothing that was fresh then."""
    watch, error = watch_of(instance), scene.read_now.get(instance.machine_id or 0)
    asked_at = scene.now
    if error is None and watch is not None:
        asked_at, error = watch.read_at or scene.now, watch.error
    return bool(error) or newest < (asked_at - 2 * OLDEST_SAMPLE).timestamp()


def tell_standing(standing: Standing, *, stale: timedelta | None, now: datetime) -> None:
    """Open or clear the alarms of what holds a pass; a pause has its own banner, and freezing its own alarm."""
    frozen = ProviderAccount.objects.filter(pk=1, frozen_since__isnull=False).exists()
    doubts = standing.hold is Hold.FROZEN and not frozen
    _alarm(LIST_ALARM, doubts, standing.reason, "See /health and the page of sync runs: sync has to list Novita again", now)
    held = standing.idle_hold is Hold.METRICS
    remedy = "Look at Novita's own console; stop by hand what is not needed: auto-stop does not stop what it cannot see"
    _alarm(METRICS_ALARM, held, standing.idle_reason, remedy, now)
    words = f"a pass took {duration_words(stale or timedelta(0))} between deciding and acting, so it did not act"
    _alarm(STALE_ALARM, stale is not None, words, "See whether the workers and the database have room", now)


def tell_set_aside(
    instances: Sequence[Instance], failed: Mapping[UUID, Exception], policies: Policies, *, now: datetime
) -> None:
    """An alarm for each instance and each policy that a pass could not read, until a pass can."""
    aside = SetAside(WORK, now=now)
    for instance in instances:
        with aside.around(instance):
            if instance.pk in failed:
                raise failed[instance.pk]
    aside.forget_all_but(instances)
    broken = policies.unreadable()
    for name, why in broken.items():
        raise_alarm(
            POLICY_ALARM,
            name,
            text=f"Policy {name} cannot be read, so auto-stop is off for the instances that follow it: {why}",
            remedy=f"Set anew what is wrong (PATCH /api/v1/auto-stop/policies/{name}), or delete the policy",
            now=now,
        )
    mended = Alarm.objects.filter(kind=POLICY_ALARM, cleared_at=None).exclude(subject__in=broken)
    for name in mended.values_list("subject", flat=True):
        clear_alarm(POLICY_ALARM, name, now=now)


def _alarm(kind: str, holds: bool, text: str, remedy: str, now: datetime) -> None:
    if holds:
        raise_alarm(kind, "", text=f"Auto-stop holds: {text}", remedy=remedy, now=now)
    elif Alarm.objects.filter(kind=kind, subject="", cleared_at=None).exists():
        clear_alarm(kind, "", now=now)


def watch_evaluations_if_due(now: datetime) -> bool:
    """An alarm for each policy whose running instances nobody evaluated for two intervals. Runs apart from the passes."""
    held = claim(_WATCHDOG, every=_WATCHDOG_EVERY, lease=_WATCHDOG_EVERY, now=now)
    if held is None:
        return False
    late = _late(read_policies(now), now)
    for name, since in late.items():
        raise_alarm(
            NOT_EVALUATED_ALARM,
            name,
            text=f"Policy {name} was not evaluated since {clock_words(since)}: nothing it should stop is stopped",
            remedy="See that a worker runs and what its log says of auto_stop",
            now=now,
        )
    known = Alarm.objects.filter(kind=NOT_EVALUATED_ALARM, cleared_at=None).exclude(subject__in=late)
    for subject in known.values_list("subject", flat=True):
        clear_alarm(NOT_EVALUATED_ALARM, subject, now=now)
    finish(held, now=now, ok=True)
    return True


def _late(policies: Policies, now: datetime) -> dict[str, datetime]:
    """Policies with running instances that no pass evaluated for too long, and since when."""
    rows = Instance.objects.managed().not_ended().select_related("machine")
    rows = rows.only("id", "labels", "auto_stop_policy", "machine__status", "machine__absent_at")
    followed = {policy.name for one in rows if is_billed(one) and (policy := policy_if_known(one, policies))}
    last = PassRun.objects.filter(duration__gt=timedelta(0)).first()  # one that broke off has judged nobody for certain
    evaluated = {one.name: one.evaluated_at for one in policies.named.values()}
    evaluated[DEFAULT] = last.started_at if last else None
    return {name: at for name, at in evaluated.items() if name in followed and at is not None and now - at > stale_after()}
