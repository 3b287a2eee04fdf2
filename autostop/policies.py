"""Which policy an instance follows, and what that says in numbers."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from autostop.decide_facts import ALL_UNLIMITED, METRIC_SIGNALS, Mode, Rules, SignalName
from autostop.models import Policy, PolicyMode
from autostop.schedule import DAY_NAMES, EVERY_DAY, Schedule, ScheduleMode, StopTimes, stop_times
from instances.automation_words import ToldPolicy

DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyValue:
    """A policy as values. `labels` chooses instances; the default chooses all that no other does.

    `unreadable` says what is wrong with a row that cannot be read: such a policy is off for whom it chooses.
    """

    rules: Rules
    mode: PolicyMode = PolicyMode.ENFORCE
    labels: Mapping[str, str] = field(default_factory=dict)
    canary_count: int | None = None
    canary_percent: int | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    schedule: Schedule | None = None
    source: str = "environment"
    description: str = ""
    rank: int | None = None
    changed_at: datetime | None = None
    evaluated_at: datetime | None = None
    unreadable: str = ""

    @property
    def name(self) -> str:
        return self.rules.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """All policies at a moment, with what is computed of each only once."""

    named: Mapping[str, PolicyValue]
    default: PolicyValue
    stops: Mapping[str, StopTimes]
    startup_timeout: timedelta
    pull_timeout: timedelta
    interval: timedelta

    def of(self, named: str, labels: Mapping[str, str]) -> PolicyValue:
        """The policy it names, else the first whose labels it has, else the default."""
        if named == DEFAULT:
            return self.default
        chosen = self.named.get(named)
        if chosen is not None:
            return chosen
        for policy in self.named.values():
            if policy.labels and policy.labels.items() <= labels.items():
                return policy
        return self.default

    def unreadable(self) -> dict[str, str]:
        """What is wrong, by the name of each policy that cannot be read."""
        return {name: one.unreadable for name, one in self.named.items() if one.unreadable}

    def all(self) -> list[PolicyValue]:
        return [self.default, *self.named.values()]


def read_policies(now: datetime) -> Policies:
    """One query."""
    named = {row.name: value_of(row) for row in Policy.objects.all()}
    stops = {name: stop_times(one.schedule, now) for name, one in named.items() if one.schedule is not None}
    return Policies(
        named=named,
        default=default_policy(),
        stops=stops,
        startup_timeout=settings.INSTANCE_STARTUP_TIMEOUT,
        pull_timeout=settings.INSTANCE_PULL_TIMEOUT,
        interval=settings.AUTO_STOP_INTERVAL,
    )


def default_policy() -> PolicyValue:
    return PolicyValue(rules=_default_rules())


def _default_rules() -> Rules:
    return Rules(
        name=DEFAULT,
        threshold=settings.AUTO_STOP_THRESHOLD,
        gpu_percent=settings.AUTO_STOP_GPU_PERCENT,
        cpu_cores=settings.AUTO_STOP_CPU_CORES,
    )


def value_of(row: Policy) -> PolicyValue:
    """A row that no code of ours writes becomes a policy that is off, and says what is wrong with it."""
    try:
        return _read(row)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return PolicyValue(
            rules=replace(_default_rules(), name=row.name),
            mode=PolicyMode.OFF,
            labels=row.labels if isinstance(row.labels, dict) else {},
            source="database",
            description=row.description,
            rank=row.rank,
            evaluated_at=row.evaluated_at or row.created_at,
            unreadable=f"{type(error).__name__}: {str(error)[:200]}",
        )


def _read(row: Policy) -> PolicyValue:
    default = _default_rules()
    if not isinstance(row.labels, dict):
        raise TypeError(f"its labels are {row.labels!r}")
    if row.threshold is not None and row.threshold <= timedelta(0):
        raise ValueError(f"its threshold is {row.threshold}")
    rules = Rules(
        name=row.name,
        threshold=row.threshold or default.threshold,
        gpu_percent=default.gpu_percent if row.gpu_percent is None else row.gpu_percent,
        cpu_cores=default.cpu_cores if row.cpu_cores is None else row.cpu_cores,
        coverage=row.coverage_percent / 100,
        in_a_row=row.in_a_row,
        holds=_holds(row.holds),
        grace_after_start=row.grace_after_start,
        grace_after_ready=row.grace_after_ready,
        max_age=row.max_age,
        warning_lead=row.warning_lead,
        unknown_limit=row.unknown_limit,
    )
    return PolicyValue(
        rules=rules,
        mode=PolicyMode(row.mode),
        labels=row.labels,
        canary_count=row.canary_count,
        canary_percent=row.canary_percent,
        zone=ZoneInfo(row.time_zone),
        schedule=schedule_of(row),
        source="database",
        description=row.description,
        rank=row.rank,
        changed_at=row.changed_at,
        evaluated_at=row.evaluated_at or row.created_at,
    )


def _holds(stored: Mapping[str, float | None]) -> Mapping[str, timedelta | None]:
    if not stored:
        return ALL_UNLIMITED
    return {SignalName(name): None if seconds is None else timedelta(seconds=seconds) for name, seconds in stored.items()}


def schedule_of(row: Policy) -> Schedule | None:
    if not row.schedule_mode:
        return None
    days = frozenset(DAY_NAMES.index(name) for name in row.schedule_days) or EVERY_DAY
    return Schedule(
        mode=ScheduleMode(row.schedule_mode),
        zone=ZoneInfo(row.time_zone),
        stop=row.schedule_stop,
        start=row.schedule_start,
        days=days,
    )


def policy_exists(name: str) -> bool:
    return name == DEFAULT or Policy.objects.filter(name=name).exists()


def policy_told(named: str, labels: Mapping[str, str]) -> ToldPolicy:
    """The policy of an instance that names this one and has these labels, for sentences."""
    policy = read_policies(timezone.now()).of(named, labels)
    return ToldPolicy(
        by="" if policy.name == DEFAULT else policy.name,
        mode=str(policy.mode),
        threshold=policy.rules.threshold,
        metrics_hold=any(one in policy.rules.holds for one in METRIC_SIGNALS),
        max_age=policy.rules.max_age,
        working_hours=policy.schedule is not None,
    )


def chosen_canaries(policy: PolicyValue, instance_ids: Iterable[UUID]) -> frozenset[UUID]:
    """Those of a policy's running instances that it really stops: as many as it says, ever the same ones."""
    ordered: Sequence[UUID] = sorted(instance_ids, key=lambda one: (zlib.crc32(one.bytes), one))
    if policy.canary_count is not None:
        return frozenset(ordered[: policy.canary_count])
    percent = policy.canary_percent or 0
    return frozenset(one for one in ordered if zlib.crc32(one.bytes) % 100 < percent)


def mode_of(policy: PolicyValue, own: str, *, canary: bool) -> tuple[Mode, str]:
    """The more careful of the instance's own mode and its policy's, and why it is off or only observed.

    Raises ValueError of a mode of its own that nobody knows.
    """
    own_mode = Mode(own)
    if policy.unreadable:
        return Mode.OFF, f"policy {policy.name} cannot be read: {policy.unreadable}"
    if own_mode is Mode.OFF or policy.mode == PolicyMode.OFF:
        return Mode.OFF, ""
    if own_mode is Mode.OBSERVE:
        return Mode.OBSERVE, ""
    if policy.mode == PolicyMode.OBSERVE:
        return Mode.OBSERVE, f"policy {policy.name} observes"
    if policy.mode == PolicyMode.CANARY and not canary:
        return Mode.OBSERVE, f"it is not among those that policy {policy.name} tries itself on"
    return Mode.ENFORCE, ""
