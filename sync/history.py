"""Pruning: what ended long ago is forgotten once a day, and one event says what was."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.db import transaction
from django.db.models import ProtectedError, Q, Sum
from django.utils import timezone

from instances.events import SYSTEM, record
from instances.models import Event, Instance, Job, Machine, RunningInterval
from instances.periodic import bring_forward, claim, finish
from sync.models import SyncRun

log = structlog.get_logger("sync")

KEPT = timedelta(days=180)  # after the end of an instance
KEPT_RUNS = timedelta(days=30)
KEPT_QUIET_RUNS = timedelta(days=1)  # those that found nothing: there is one every few seconds
EVERY = timedelta(days=1)
LEASE = timedelta(minutes=10)
AT_ONCE = 500


def prune_if_due(now: datetime) -> bool:
    held = claim("history", every=EVERY, lease=LEASE, now=now)
    if held is None:
        return False
    counts = prune(now)
    forget_runs(now)
    finish(held, now=timezone.now(), ok=True, detail=f"{counts['instances']} instances forgotten")
    if counts["instances"] == AT_ONCE:
        bring_forward("history", to=now + LEASE)
    return True


def prune(now: datetime) -> Counter[str]:
    """Forget instances that ended before the retention, with all that hangs on them; how many rows of each kind."""
    ended = Instance.objects.filter(ended_at__lt=now - KEPT).order_by("ended_at").values_list("pk", flat=True)[:AT_ONCE]
    if not ended:
        return Counter()
    try:
        with transaction.atomic():
            spent, counts = _forget(list(ended))
            _tell(counts, spent, now)
    except ProtectedError as error:
        log.warning("history.kept", why=str(error)[:200])
        return Counter()
    return counts


def forget_runs(now: datetime) -> None:
    """Runs of sync tell nothing that the events do not: no event says that they are forgotten."""
    quiet = Q(counts={}, started_at__lt=now - KEPT_QUIET_RUNS)
    SyncRun.objects.filter(quiet | Q(started_at__lt=now - KEPT_RUNS)).delete()


def _tell(counts: Counter[str], spent: Decimal, now: datetime) -> None:
    record(
        "history.pruned",
        at=now,
        actor=SYSTEM,
        reason=f"they ended more than {KEPT.days} days ago",
        before={**counts, "metered_usd": f"{spent:.6f}"},
    )


def _forget(instance_ids: Sequence[Any]) -> tuple[Decimal, Counter[str]]:
    machines = Machine.objects.filter(instance__in=instance_ids)
    spent = machines.aggregate(spent=Sum("metered_usd"))["spent"] or Decimal(0)
    counts: Counter[str] = Counter()
    counts["events"] = Event.objects.filter(instance__in=instance_ids).delete()[0]
    counts["jobs"] = Job.objects.filter(instance__in=instance_ids).delete()[0]
    counts["intervals"] = RunningInterval.objects.filter(machine__in=machines.values("pk")).delete()[0]
    Instance.objects.filter(pk__in=instance_ids).update(machine=None)
    counts["machines"] = machines.delete()[0]
    Instance.objects.filter(pk__in=instance_ids).delete()
    counts["instances"] = len(instance_ids)
    return spent, counts
