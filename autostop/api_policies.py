"""Policies over HTTP: read by anyone who may read, changed with the admin scope. The default comes from the environment."""

from collections.abc import Mapping
from datetime import time, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from autostop import shapes
from autostop.decide_facts import SignalName
from autostop.explain import runs_json
from autostop.models import Policy, PolicyMode
from autostop.policies import DEFAULT, PolicyValue, default_policy, read_policies, value_of
from autostop.schedule import DAY_NAMES, MODES, Schedule, ScheduleMode
from instances.api.clock_fields import TimeOfDay, TimeZone
from instances.api.creation import refused_field
from instances.api.fields import Choice, Duration, Labels, Strict, Text, WholeNumber
from instances.api.problems import Problem
from instances.api.times import duration_text, rfc3339
from instances.api.viewsets import actor_of
from instances.events import Actor, record
from instances.models import Instance

_LONGEST = timedelta(days=30)
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"


class NumberField(serializers.FloatField):
    default_error_messages = {"not_a_number": "write a number"}

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool | str):
            self.fail("not_a_number")
        value: float = super().to_internal_value(data)
        return value


class ScheduleForm(Strict):
    mode = Choice(choices=MODES)
    start = TimeOfDay(required=False, allow_null=True)
    stop = TimeOfDay(required=False, allow_null=True)
    days = serializers.ListField(child=Choice(choices=list(DAY_NAMES)), max_length=7, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, stop = attrs.get("start"), attrs.get("stop")
        if start is None and stop is None:
            raise serializers.ValidationError({"stop": ["a schedule needs a time to stop or to start"]}, "required")
        if attrs["mode"] == ScheduleMode.KEEP_OFF_BETWEEN and (start is None or stop is None):
            raise serializers.ValidationError({"start": ["to keep it off between takes both times"]}, "required")
        if start == stop:
            raise serializers.ValidationError({"stop": ["it cannot stop and start at one time"]}, "exclusive")
        return attrs


class HoldsForm(Strict):
    """Longest hold of each signal; null is no limit, and a signal that is left out holds nothing."""

    use = Duration(most=_LONGEST, required=False, allow_null=True)
    gpu = Duration(most=_LONGEST, required=False, allow_null=True)
    cpu = Duration(most=_LONGEST, required=False, allow_null=True)
    heartbeat = Duration(most=_LONGEST, required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError("name at least one signal that may hold an instance", "required")
        return attrs


class PolicyChange(Strict):
    description = Text(max_length=500, allow_blank=True, required=False)
    rank = WholeNumber(min_value=0, max_value=1_000_000, required=False)
    labels = Labels(required=False)
    mode = Choice(choices=PolicyMode.values, required=False)
    canary_count = WholeNumber(min_value=0, max_value=1_000_000, required=False, allow_null=True)
    canary_percent = WholeNumber(min_value=0, max_value=100, required=False, allow_null=True)
    threshold = Duration(least=timedelta(seconds=1), most=_LONGEST, required=False, allow_null=True)
    gpu_percent = NumberField(min_value=0, max_value=100, required=False, allow_null=True)
    cpu_cores = NumberField(min_value=0, max_value=4096, required=False, allow_null=True)
    coverage_percent = WholeNumber(min_value=1, max_value=100, required=False)
    in_a_row = WholeNumber(min_value=1, max_value=100, required=False)
    holds = HoldsForm(required=False)
    grace_after_start = Duration(most=_LONGEST, required=False)
    grace_after_ready = Duration(most=_LONGEST, required=False)
    max_age = Duration(least=timedelta(seconds=1), most=timedelta(days=365), required=False, allow_null=True)
    warning_lead = Duration(most=timedelta(days=1), required=False)
    unknown_limit = Duration(most=_LONGEST, required=False)
    time_zone = TimeZone(max_length=64, required=False)
    schedule = ScheduleForm(required=False, allow_null=True)


class NewPolicy(PolicyChange):
    name = Text(max_length=100, pattern=_NAME, hint="only letters, digits, -, _ and . are possible")

    def validate_name(self, name: str) -> str:
        if name.lower() == DEFAULT:
            raise serializers.ValidationError("the default policy is made from the environment", "reserved")
        return name


class PolicyList(APIView):
    """All policies: the default, made from the environment, and those made here."""

    scopes = {"get": "read", "post": "admin"}

    @extend_schema(operation_id="auto_stop_policies", responses=shapes.PoliciesShape)
    def get(self, request: Request) -> Response:
        now = timezone.now()
        results = [policy_json(one, now) for one in read_policies(now).all()]
        return Response({"count": len(results), "next": None, "previous": None, "results": results})

    @extend_schema(operation_id="auto_stop_policies_create", request=NewPolicy, responses={201: shapes.PolicyShape})
    def post(self, request: Request) -> Response:
        body, now = _body(request, NewPolicy), timezone.now()
        row = Policy(created_at=now, changed_at=now)
        _take(row, body)
        try:
            with transaction.atomic():
                row.save()
                _tell("auto_stop_policy.created", row.name, {}, body, actor_of(request))
        except IntegrityError:
            raise Problem(f"a policy named {row.name!r} exists", code="name_taken", status=409, field="name") from None
        return Response(policy_json(value_of(row), now), status=201)


class PolicyDetail(APIView):
    scopes = {"get": "read", "patch": "admin", "delete": "admin"}

    @extend_schema(operation_id="auto_stop_policies_retrieve", responses=shapes.PolicyShape)
    def get(self, request: Request, name: str) -> Response:
        value = default_policy() if name == DEFAULT else value_of(_row(name))
        return Response(policy_json(value, timezone.now()))

    @extend_schema(operation_id="auto_stop_policies_update", request=PolicyChange, responses=shapes.PolicyShape)
    def patch(self, request: Request, name: str) -> Response:
        body, now = _body(request, PolicyChange), timezone.now()
        _refuse_default(name)
        with transaction.atomic():
            row = _row(name, locked=True)
            before = policy_json(value_of(row), now)
            _take(row, body)
            row.changed_at = now
            row.save()
            _tell("auto_stop_policy.changed", name, {key: before.get(key) for key in body}, body, actor_of(request))
        return Response(policy_json(value_of(row), now))

    @extend_schema(operation_id="auto_stop_policies_delete", responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        """Its instances follow the next policy that fits. Refused while instances name it."""
        _refuse_default(name)
        with transaction.atomic():
            row = _row(name, locked=True)
            named = Instance.objects.managed().not_ended().filter(auto_stop_policy=name).count()
            if named:
                raise Problem(f"instances name this policy: {named}", code="policy_in_use", status=409)
            row.delete()
            _tell("auto_stop_policy.deleted", name, {"name": name}, {}, actor_of(request))
        return Response(status=204)


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


def _body(request: Request, form: type[Strict]) -> dict[str, Any]:
    serializer = form(data=request.data, context={"now": timezone.now()})
    serializer.is_valid(raise_exception=True)
    values: dict[str, Any] = serializer.validated_data
    return values


def _take(row: Policy, body: Mapping[str, Any]) -> None:
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


def _row(name: str, *, locked: bool = False) -> Policy:
    rows = Policy.objects.select_for_update() if locked else Policy.objects.all()
    row = rows.filter(name=name).first()
    if row is None:
        raise Http404("there is no such policy")
    return row


def _refuse_default(name: str) -> None:
    if name == DEFAULT:
        raise Problem("the default policy is made from the environment: set AUTO_STOP_*", code="default_policy", status=409)


def _tell(event: str, name: str, before: Mapping[str, Any], after: Mapping[str, Any], actor: Actor) -> None:
    record(
        event,
        at=timezone.now(),
        actor=actor,
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
