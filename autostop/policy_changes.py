"""Policies as they are made, changed and deleted: by the API and in the admin alike. Each change leaves an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.http import Http404

from autostop.decide_facts import SignalName
from autostop.explain import runs_json
from autostop.facts import is_billed, policy_if_known
from autostop.models import Policy, PolicyMode
from autostop.policies import DEFAULT, PolicyValue, read_policies, value_of
from autostop.schedule import DAY_NAMES, Schedule
from instances.api.creation import refused_field
from instances.api.problems import Problem
from instances.api.times import duration_text, rfc3339
from instances.events import Actor, record
from instances.models import Instance


def create_policy(body: Mapping[str, Any], *, actor: Actor, now: datetime, reason: str = "") -> Policy:
    """`body` as the form of a new policy has checked it. Raises Problem for a name that is taken, ValidationError."""
    row = Policy(created_at=now, changed_at=now)
    take(row, body)
    try:
        with transaction.atomic():
            row.save()
            _tell("auto_stop_policy.created", row.name, {}, body, actor=actor, now=now, reason=reason)
    except IntegrityError:
        raise name_taken(row.name) from None
    return row


def change_policy(name: str, body: Mapping[str, Any], *, actor: Actor, now: datetime, reason: str = "") -> Policy:
    """Set what the body names. Raises Problem for the default, Http404, ValidationError."""
    _refuse_default(name)
    with transaction.atomic():
        row = row_named(name, locked=True)
        before = policy_json(value_of(row), now)
        take(row, body)
        row.changed_at = now
        row.save()
        was = {key: before.get(key) for key in body}
        _tell("auto_stop_policy.changed", name, was, body, actor=actor, now=now, reason=reason)
    return row


def delete_policy(name: str, *, actor: Actor, now: datetime, reason: str = "") -> None:
    """Its instances follow the next policy that fits. Raises Problem for the default and while instances name it."""
    _refuse_default(name)
    with transaction.atomic():
        row = row_named(name, locked=True)
        named = Instance.objects.managed().not_ended().filter(auto_stop_policy=name).count()
        if named:
            raise Problem(f"instances name this policy: {named}", code="policy_in_use", status=409)
        row.delete()
        _tell("auto_stop_policy.deleted", name, {"name": name}, {}, actor=actor, now=now, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followers:
    """How many managed instances that live follow a policy, and how many of them run."""

    living: int = 0
    running: int = 0


def followers_of(name: str, now: datetime) -> Followers:
    """Two queries."""
    policies, living, running = read_policies(now), 0, 0
    rows = Instance.objects.managed().not_ended().select_related("machine")
    for one in rows.only("id", "labels", "auto_stop_policy", "machine__status", "machine__absent_at"):
        policy = policy_if_known(one, policies)
        if policy is not None and policy.name == name:
            living, running = living + 1, running + is_billed(one)
    return Followers(living=living, running=running)


def name_taken(name: str) -> Problem:
    return Problem(f"a policy named {name!r} exists", code="name_taken", status=409, field="name")


def row_named(name: str, *, locked: bool = False) -> Policy:
    rows = Policy.objects.select_for_update() if locked else Policy.objects.all()
    row = rows.filter(name=name).first()
    if row is None:
        raise Http404("there is no such policy")
    return row


def policy_json(policy: PolicyValue, now: Any) -> dict[str, Any]:
    rules = policy.rules
    return {
        "name": policy.name,
        "source": policy.source,
        "description": policy.description,
        "rank": policy.rank,
        "labels": dict(policy.labels),
        "mode": str(policy.mode),
        "canary_count": policy.canary_count,
        "canary_percent": policy.canary_percent,
        "threshold": duration_text(rules.threshold),
        "gpu_percent": rules.gpu_percent,
        "cpu_cores": rules.cpu_cores,
        "coverage_percent": round(rules.coverage * 100),
        "in_a_row": rules.in_a_row,
        "holds": {str(name): None if most is None else duration_text(most) for name, most in rules.holds.items()},
        "grace_after_start": duration_text(rules.grace_after_start),
        "grace_after_ready": duration_text(rules.grace_after_ready),
        "max_age": duration_text(rules.max_age) if rules.max_age else None,
        "warning_lead": duration_text(rules.warning_lead),
        "unknown_limit": duration_text(rules.unknown_limit),
        "time_zone": policy.zone.key,
        "schedule": _schedule_json(policy.schedule),
        "next_runs": runs_json(policy, now),
        "evaluated_at": rfc3339(policy.evaluated_at) if policy.evaluated_at else None,
    }


def _schedule_json(schedule: Schedule | None) -> dict[str, Any] | None:
    if schedule is None:
        return None
    return {
        "mode": str(schedule.mode),
        "start": f"{schedule.start:%H:%M}" if schedule.start else None,
        "stop": f"{schedule.stop:%H:%M}" if schedule.stop else None,
        "days": [DAY_NAMES[day] for day in sorted(schedule.days)],
    }


def take(row: Policy, body: Mapping[str, Any]) -> None:
    """Set what the body names. A canary needs to say how many."""
    for name, value in body.items():
        if name == "schedule":
            _take_schedule(row, value)
        elif name == "holds":
            row.holds = {
                str(one): None if value[one] is None else value[one].total_seconds() for one in SignalName if one in value
            }
        else:
            setattr(row, name, value)
    if row.mode == PolicyMode.CANARY and row.canary_count is None and row.canary_percent is None:
        raise refused_field("mode", "required", "a canary says on how many: canary_count or canary_percent")


def _take_schedule(row: Policy, schedule: Mapping[str, Any] | None) -> None:
    given = schedule or {}
    row.schedule_mode = given.get("mode", "")
    row.schedule_start, row.schedule_stop = given.get("start"), given.get("stop")
    row.schedule_days = list(given.get("days", []))


def _refuse_default(name: str) -> None:
    if name == DEFAULT:
        raise Problem("the default policy is made from the environment: set AUTO_STOP_*", code="default_policy", status=409)


def _tell(
    event: str,
    name: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    actor: Actor,
    now: datetime,
    reason: str,
) -> None:
    record(
        event,
        at=now,
        actor=actor,
        reason=reason,
        before=_plain(before),
        after={"name": name, **_plain(after)},
    )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, time):
        return f"{value:%H:%M}"
    if isinstance(value, Mapping):
        return _plain(value)
    return value
