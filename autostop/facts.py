"""From rows and settings to the values a decision rests on."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import OuterRef, Q, QuerySet, Subquery

from autostop.decide import Facts, Hold, Mode
from autostop.judgement import Reading
from autostop.words import clock_words
from instances.lifecycle import OPEN_STATES, Observed
from instances.models import AutomationPause, Instance, Job, ProviderAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The default policy, made from the environment; an instance's own threshold goes before it."""

    threshold: timedelta
    gpu_percent: float
    cpu_cores: float
    startup_timeout: timedelta
    pull_timeout: timedelta
    interval: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether rules may act at all now, and why not."""

    hold: Hold = Hold.NONE
    reason: str = ""


def default_policy() -> Policy:
    return Policy(
        threshold=settings.AUTO_STOP_THRESHOLD,
        gpu_percent=settings.AUTO_STOP_GPU_PERCENT,
        cpu_cores=settings.AUTO_STOP_CPU_CORES,
        startup_timeout=settings.INSTANCE_STARTUP_TIMEOUT,
        pull_timeout=settings.INSTANCE_PULL_TIMEOUT,
        interval=settings.AUTO_STOP_INTERVAL,
    )


def standing_at(now: datetime) -> Standing:
    """Two queries: the pause of automation, and whether the account is frozen."""
    account = ProviderAccount.objects.filter(pk=1).only("frozen_since", "frozen_reason").first()
    if account is not None and account.frozen_since is not None:
        why = f" ({account.frozen_reason})" if account.frozen_reason else ""
        return Standing(hold=Hold.FROZEN, reason=f"the account is frozen since {clock_words(account.frozen_since)}{why}")
    pause = AutomationPause.objects.filter(pk=1).first()
    if pause is not None and pause.paused_until is not None and pause.holds(now):
        why = f" ({pause.reason})" if pause.reason else ""
        return Standing(hold=Hold.PAUSED, reason=f"automation is paused until {clock_words(pause.paused_until)}{why}")
    return Standing()


def considered() -> QuerySet[Instance]:
    """Every managed instance that lives, or still shows a next action, with all a decision needs, in one query."""
    open_verb = Job.objects.filter(instance=OuterRef("pk"), state__in=OPEN_STATES).values("verb")[:1]
    return (
        Instance.objects.managed()
        .filter(Q(ended_at=None) | Q(next_auto_stop_action__isnull=False))
        .select_related("machine", "auto_stop_evaluation")
        .defer("envs", "machine__connection")
        .annotate(open_verb=Subquery(open_verb))
        .order_by("created_at", "id")
    )


def facts_of(
    instance: Instance,
    *,
    open_verb: str,
    policy: Policy,
    standing: Standing,
    now: datetime,
    reading: Reading | None = None,
) -> Facts:
    """Ready and the run's begin count only while Novita shows it running: else they tell of an earlier run."""
    machine = instance.machine
    if standing.hold is Hold.NONE and machine is not None and machine.unverified_since is not None:
        standing = Standing(hold=Hold.FROZEN, reason="Novita's lists lack it and are not believed yet")
    runs = instance.observed is Observed.RUNNING
    return Facts(
        now=now,
        managed=instance.managed,
        mode=Mode(instance.auto_stop_mode),
        protected=instance.protected,
        observed=instance.observed,
        raw_status=machine.status if machine else "",
        wanted=instance.wanted,
        wanted_since=instance.wanted_at,
        open_verb=open_verb,
        running_since=machine.running_since if machine and runs else None,
        ready_at=instance.ready_at if runs and instance.well_since_running else None,
        startup_deadline_at=_startup_deadline(instance, policy),
        last_used_at=instance.last_used_at,
        stop_at=instance.stop_at,
        gpu_num=machine.gpu_num if machine and instance.gpu_num else 0,
        threshold=instance.auto_stop_threshold or policy.threshold,
        gpu_percent=policy.gpu_percent,
        cpu_cores=policy.cpu_cores,
        hold=standing.hold,
        hold_reason=standing.reason,
        reading=reading,
    )


def _startup_deadline(instance: Instance, policy: Policy) -> datetime | None:
    """When its stage of starting up is overdue; without a stage, counted from the run's begin."""
    since = instance.boot_stage_since
    if since is None or not instance.boot_stage:
        since = instance.machine.running_since if instance.machine else None
    if since is None:
        return None
    return since + (policy.pull_timeout if instance.boot_stage == "pulling" else policy.startup_timeout)
