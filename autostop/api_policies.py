"""Policies over HTTP: read by anyone who may read, changed with the admin scope. The default comes from the environment."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from autostop import shapes
from autostop.models import PolicyMode
from autostop.policies import DEFAULT, default_policy, read_policies, value_of
from autostop.policy_changes import change_policy, create_policy, delete_policy, policy_json, row_named
from autostop.schedule import DAY_NAMES, MODES, ScheduleMode
from instances.api.clock_fields import TimeOfDay, TimeZone
from instances.api.fields import Choice, Duration, Labels, Strict, Text, WholeNumber
from instances.api.viewsets import actor_of

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
        row = create_policy(body, actor=actor_of(request), now=now)
        return Response(policy_json(value_of(row), now), status=201)


class PolicyDetail(APIView):
    scopes = {"get": "read", "patch": "admin", "delete": "admin"}

    @extend_schema(operation_id="auto_stop_policies_retrieve", responses=shapes.PolicyShape)
    def get(self, request: Request, name: str) -> Response:
        value = default_policy() if name == DEFAULT else value_of(row_named(name))
        return Response(policy_json(value, timezone.now()))

    @extend_schema(operation_id="auto_stop_policies_update", request=PolicyChange, responses=shapes.PolicyShape)
    def patch(self, request: Request, name: str) -> Response:
        body, now = _body(request, PolicyChange), timezone.now()
        row = change_policy(name, body, actor=actor_of(request), now=now)
        return Response(policy_json(value_of(row), now))

    @extend_schema(operation_id="auto_stop_policies_delete", responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        """Its instances follow the next policy that fits. Refused while instances name it."""
        delete_policy(name, actor=actor_of(request), now=timezone.now())
        return Response(status=204)


def _body(request: Request, form: type[Strict]) -> dict[str, Any]:
    serializer = form(data=request.data, context={"now": timezone.now()})
    serializer.is_valid(raise_exception=True)
    values: dict[str, Any] = serializer.validated_data
    return values
