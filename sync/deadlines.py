"""Deadlines of starting up: create to pulling, pulling itself, starting to ready. Passing one is loud; it ends nothing."""

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from instances.alarms import clear_alarm, raise_alarm
from instances.events import SYSTEM, Actor, record
from instances.lifecycle import NEVER_FAIL, OPEN_STATES, Verb, Wanted
from instances.models import Alarm, Instance, Job
from instances.models.instance import OnStartupTimeout
from instances.operations import OperationRefused, hold_reason, request_stop
from instances.operations.wishes import locked_instance
from instances.phases import mark_stage_overdue
from instances.rule_pace import act_limit
from instances.vouching import locked_account

RULE = Actor(kind="rule", name="startup-timeout")
PASS = timedelta(minutes=1)  # what counts as one, for the pace of its stops


def limit_of(stage: str) -> timedelta:
    """How long a stage may take: creating and starting the start-up time-out, pulling one of its own."""
    return settings.INSTANCE_PULL_TIMEOUT if stage == "pulling" else settings.INSTANCE_STARTUP_TIMEOUT


def mark_overdue(now: datetime) -> int:
    """Mark every instance whose stage took too long, and clear the alarms of those that came through."""
    late = Q(boot_stage="pulling", boot_stage_since__lte=now - limit_of("pulling"))
    late |= Q(boot_stage__in=["creating", "starting"], boot_stage_since__lte=now - limit_of("starting"))
    found = Instance.objects.managed().filter(late, overdue="").values_list("pk", flat=True)[:100]
    marked = sum(_mark(pk, now) for pk in found)
    if _open_alarms().exists():  # every overdue instance has one
        _stop_overdue(now)
        _clear_past(now)
    return marked


def _mark(pk: UUID, now: datetime) -> bool:
    with transaction.atomic():
        instance = locked_instance(pk)
        stage, since = instance.boot_stage, instance.boot_stage_since
        if instance.overdue or not stage or since is None or now - since < limit_of(stage):
            return False
        limit = limit_of(stage)
        text = f"{stage} has taken longer than {int(limit.total_seconds())} s, since {since:%F %T} UTC"
        record("instance.startup_overdue", at=now, actor=SYSTEM, instance=instance, reason=text, after={"stage": stage})
        mark_stage_overdue(instance, text, now=now)
        raise_alarm(
            "startup_overdue",
            str(instance.pk),
            text=f"{instance.name}: {instance.phase_reason}",
            remedy="Look at its container log; stop or delete it if it is not going to come up",
            now=now,
            instance=instance,
        )
    return True


def _stop_overdue(now: datetime) -> None:
    """Stop those that asked for it, the longest overdue first, at the pace of rules; what waits for its turn says so.

    A hold of automation that ends, and a keep, let a later pass do it.
    """
    late = (
        Instance.objects.managed()
        .exclude(overdue="")
        .exclude(keep_until__gt=now)
        .filter(
            on_startup_timeout=OnStartupTimeout.STOP,
            wanted=Wanted.RUNNING,
            protected=False,
            machine__unverified_since=None,  # what no list vouches for is left alone
        )
    )
    due = list(late.order_by("boot_stage_since", "pk").values_list("pk", flat=True)[:100])
    running = Instance.objects.managed().filter(machine__billed_since__isnull=False)
    limit = act_limit(running.count()) if due else 0
    for pk in due:
        if hold_reason(now):
            return
        with suppress(OperationRefused), transaction.atomic():
            locked_account()  # passes of other workers share the pace
            if _asked_within_pass(now) >= limit:
                break
            instance = locked_instance(pk)
            if late.filter(pk=pk).exists():  # it may have come up while its lock was waited for
                request_stop(pk, actor=RULE, reason=instance.overdue, now=now)
    _tell_waiting(late, limit)


def _asked_within_pass(now: datetime) -> int:
    """How many stops this rule asked for within the last minute: it looks every second."""
    ours = Job.objects.filter(verb=Verb.STOP, requested_by_kind=RULE.kind, requested_by_name=RULE.name)
    return ours.filter(created_at__gt=now - PASS).count()


def _tell_waiting(late: QuerySet[Instance], limit: int) -> None:
    waiting = list(late.values_list("pk", flat=True))
    why = f"it takes longer to start than allowed; it waits for its turn: at most {limit} are stopped a minute"
    told = Instance.objects.filter(pk__in=_open_alarms().values("instance"), next_sync_action__what=Verb.STOP)
    silent = Instance.objects.filter(pk__in=waiting, next_sync_action__isnull=True)
    action = {"what": str(Verb.STOP), "at": None, "why": why}
    for found, says in ((told.exclude(pk__in=waiting), None), (silent, action)):
        if found.exists():  # looked at every second: what stays as it is takes no lock
            found.update(next_sync_action=says)


def _open_alarms() -> QuerySet[Alarm]:
    return Alarm.objects.filter(kind="startup_overdue", cleared_at=None)


def _clear_past(now: datetime) -> None:
    """Those that came through, or that Novita was asked to stop or delete: one that waits to be asked still costs."""
    waiting = Job.objects.filter(instance=OuterRef("instance"), state__in=OPEN_STATES, verb__in=NEVER_FAIL, called_at=None)
    past = _open_alarms().filter(Q(instance__overdue="") & ~Exists(waiting) | Q(instance__ended_at__isnull=False))
    for subject in past.values_list("subject", flat=True):
        clear_alarm("startup_overdue", subject, now=now)
