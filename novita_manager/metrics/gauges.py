"""Gauges of the fleet, its money and its jobs. All are read from the database, so every web process tells the same."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db.models import Count, Exists, F, Min, OuterRef, Q, Sum
from django.db.models.functions import Coalesce
from prometheus_client.core import Metric

from instances.lifecycle import ENDED_PHASES, NEVER_FAIL, OPEN_STATES, Phase, Wanted
from instances.models import Alarm, AutomationPause, Instance, Job, Machine, ProviderAccount
from novita_manager.metrics import machinery
from novita_manager.metrics.families import flag, gauge, single

_MANAGED = {True: "true", False: "false"}
_LIVING_PHASES = [phase for phase in Phase if phase not in ENDED_PHASES]


def gauges(now: datetime) -> Iterator[Metric]:
    """Every family, in a fixed number of queries."""
    yield gauge("build_info", "Always 1; the version is its label.", {(settings.VERSION,): 1}, "version")
    yield _instances()
    per_hour, family = _billed()
    yield family
    yield from _unconfirmed()
    yield _alarms()
    yield from _account(per_hour, now)
    yield from _jobs(now)
    pause = AutomationPause.objects.filter(pk=1).first()
    yield flag("automation_paused", "1 while all rules are held by the pause.", pause is not None and pause.holds(now))
    yield from machinery.gauges(now)


def _instances() -> Metric:
    samples = {(phase.value, managed): 0.0 for phase in _LIVING_PHASES for managed in _MANAGED.values()}
    living = Instance.objects.not_ended().order_by().values_list("phase", "managed").annotate(count=Count("pk"))
    samples |= {(phase, _MANAGED[managed]): float(count) for phase, managed, count in living}
    return gauge("instances", "Instances that have not ended, by phase.", samples, "phase", "managed")


def _billed() -> tuple[Decimal, Metric]:
    """What Novita bills for GPUs an hour, and the family that tells it."""
    billed = Machine.objects.filter(billed_since__isnull=False, absent_at=None)
    sums = dict(
        billed.order_by()
        .values_list("instance__managed")
        .annotate(sum=Coalesce(Sum("billed_price_usd_per_hour"), Decimal(0)))
    )
    samples = {(name,): float(sums.get(managed, 0)) for managed, name in _MANAGED.items()}
    text = "What Novita bills for GPUs now, in USD an hour, disks apart."
    return sum(sums.values(), Decimal(0)), gauge("billed_usd_per_hour", text, samples, "managed")


def _unconfirmed() -> Iterator[Metric]:
    """Stops and deletes that were called for, or wait for it so long that it is alarmed, and that no read has shown yet."""
    alarmed = Exists(Alarm.objects.filter(kind="unconfirmed", cleared_at=None, instance=OuterRef("pk")))
    called = Q(jobs__state__in=OPEN_STATES, jobs__verb__in=NEVER_FAIL) & (Q(jobs__attempts__gt=0) | alarmed)
    rows = (
        Instance.objects.managed()
        .filter(called, met_at=None, wanted__in=[Wanted.STOPPED, Wanted.DELETED])
        .order_by()
        .values_list("wanted")
        .annotate(
            count=Count("pk"), sum=Sum("machine__billed_price_usd_per_hour", filter=Q(machine__billed_since__isnull=False))
        )
    )
    found = {wanted: (count, per_hour or 0) for wanted, count, per_hour in rows}
    wishes = [str(wish) for wish in (Wanted.STOPPED, Wanted.DELETED)]
    yield gauge(
        "unconfirmed_instances",
        "Instances whose stop or delete was called for, or waits for it and is alarmed, and is shown by no read yet.",
        {(wish,): float(found.get(wish, (0, 0))[0]) for wish in wishes},
        "wanted",
    )
    yield gauge(
        "unconfirmed_usd_per_hour",
        "What Novita goes on billing for those, in USD an hour.",
        {(wish,): float(found.get(wish, (0, 0))[1]) for wish in wishes},
        "wanted",
    )


def _alarms() -> Metric:
    opened = Alarm.objects.filter(cleared_at=None).order_by().values_list("kind").annotate(count=Count("pk"))
    return gauge("alarms_open", "Open alarms, by kind.", {(kind,): float(count) for kind, count in opened}, "kind")


def _account(per_hour: Decimal, now: datetime) -> Iterator[Metric]:
    account = ProviderAccount.objects.filter(pk=1).first() or ProviderAccount()
    balance, listed_at = account.balance_usd, account.complete_list_at
    yield single("balance_usd", "The account's balance as last read.", None if balance is None else float(balance))
    yield single(
        "balance_runway_seconds",
        "How long the balance lasts at what is billed now. Absent while nothing is billed.",
        float(balance / per_hour) * 3600 if balance is not None and per_hour > 0 else None,
    )
    yield single(
        "data_age_seconds",
        "Seconds since the newest complete list of Novita's began.",
        None if listed_at is None else max(0.0, (now - listed_at).total_seconds()),
    )
    yield flag(
        "account_frozen",
        "1 while no rule acts, because the key shows none of the known machines.",
        account.frozen_since is not None,
    )


def _jobs(now: datetime) -> Iterator[Metric]:
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    due = Min(F("next_attempt_at"), filter=free & Q(next_attempt_at__lte=now))
    rows = list(
        Job.objects.filter(state__in=OPEN_STATES)
        .order_by()
        .values_list("verb", "state")
        .annotate(count=Count("pk"), due=due)
    )
    samples = {(verb, state): float(count) for verb, state, count, _ in rows}
    yield gauge("jobs_open", "Jobs that have not ended, by verb and state.", samples, "verb", "state")
    oldest = min((since for *_, since in rows if since is not None), default=now)
    yield single(
        "jobs_oldest_due_age_seconds",
        "For how long the oldest due job has been waiting for a worker; 0 where none is due.",
        (now - oldest).total_seconds(),
    )
