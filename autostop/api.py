"""Auto-stop over HTTP: what the last pass decided, what was done and saved, and a pass on demand."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from autostop import shapes
from autostop.api_keeping import HeartbeatOf, Keep
from autostop.api_policies import PolicyDetail, PolicyList
from autostop.decide_facts import Code
from autostop.models import Evaluation, PassRun, RecordedDecision
from autostop.passes import WORK, PassRunning, run_now
from autostop.safety import standing_at
from autostop.stats import FORMULA, LONGEST_SAVING, savings
from instances.api.fields import Flag, Strict
from instances.api.pagination import NewestFirst
from instances.api.problems import Problem
from instances.api.times import rfc3339
from instances.api.viewsets import actor_of
from instances.models import Instance, PeriodicWork
from instances.models.instance import AutoStopMode

_READ = {"get": "read"}
_DAYS = 30
_MOST_DAYS = 365


_HELD_BY = {
    "use": (Code.THRESHOLD_NOT_REACHED,),
    "gpu": (Code.GPU_ACTIVE,),
    "cpu": (Code.CPU_ACTIVE,),
    "heartbeat": (Code.HEARTBEAT_ACTIVE,),
    "job": (Code.JOB_OPEN,),
    "no_data": (Code.NO_DATA,),
    "kept": (Code.KEPT,),
    "protected": (Code.PROTECTED,),
}


class PassRunSerializer(serializers.ModelSerializer[PassRun]):
    duration_ms = serializers.SerializerMethodField()

    class Meta:
        model = PassRun
        fields = [
            "id",
            "started_at",
            "duration_ms",
            "trigger",
            "hold",
            "hold_reason",
            "act_limit",
            "running",
            "evaluated",
            "metrics_read",
            "warned",
            "started",
            "stopped",
            "would_stop",
            "waiting",
            "not_judged",
        ]

    def get_duration_ms(self, run: PassRun) -> int:
        return round(run.duration.total_seconds() * 1000)


class DecisionSerializer(serializers.ModelSerializer[RecordedDecision]):
    instance_name = serializers.CharField(source="instance.name", read_only=True)

    class Meta:
        model = RecordedDecision
        fields = [
            "id",
            "instance_id",
            "instance_name",
            "decided_at",
            "acted",
            "action",
            "code",
            "hold",
            "reason",
            "nearest_miss",
            "evidence",
            "policy",
            "version",
            "price_usd_per_hour",
            "job_id",
            "pass_run_id",
        ]


class Stats(APIView):
    """What auto-stop does: modes, the last pass, how many are held by what, stops so far, and what they saved."""

    scopes = _READ

    @extend_schema(operation_id="auto_stop_stats", responses=shapes.StatsShape)
    def get(self, request: Request) -> Response:
        now, days = timezone.now(), _days(request)
        standing = standing_at(now)
        work = PeriodicWork.objects.filter(name=WORK).first()
        last = PassRun.objects.first()
        managed = Instance.objects.managed().not_ended()
        return Response(
            {
                "hold": str(standing.hold),
                "hold_reason": standing.reason,
                "next_pass_at": rfc3339(work.next_due_at) if work else None,
                "last_pass": PassRunSerializer(last).data if last else None,
                "instances_by_mode": _counted(managed, "auto_stop_mode", [str(mode) for mode in AutoStopMode]),
                "decisions_by_code": _counted(Evaluation.objects.filter(instance__in=managed), "code", []),
                "held_by_signal": _held_by_signal(managed),
                "stops": RecordedDecision.objects.filter(acted=True).aggregate(
                    total=Count("id"), last_24h=Count("id", filter=Q(decided_at__gte=now - timedelta(hours=24)))
                ),
                "not_spent": _saved_json(now, days),
            }
        )


@extend_schema_view(get=extend_schema(operation_id="auto_stop_decisions"))
class Decisions(ListAPIView[RecordedDecision]):
    """Acts, and decisions that differ from the one before, newest first. Filters: instance_id, code, acted."""

    scopes = _READ
    serializer_class = DecisionSerializer
    pagination_class = NewestFirst
    queryset = RecordedDecision.objects.select_related("instance").only(
        "instance__name", *(field.name for field in RecordedDecision._meta.concrete_fields)
    )
    filterset_fields = ["instance_id", "code", "action", "hold", "acted"]


class CheckRequestSerializer(Strict):
    """A mistyped rehearsal must not become a stop: unknown fields and words for a truth value are refused."""

    dry_run = Flag(default=True)


class Check(APIView):
    """A pass now, over all instances; with its result for each in the answer. A rehearsal unless `dry_run` is false."""

    scopes = {"post": "operate"}

    @extend_schema(operation_id="auto_stop_check", request=CheckRequestSerializer, responses=shapes.PassResultShape)
    def post(self, request: Request) -> Response:
        body = CheckRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            result = run_now(
                now=timezone.now(), dry_run=body.validated_data["dry_run"], actor=actor_of(request), trigger="api"
            )
        except PassRunning as running:
            raise Problem(str(running), code="pass_running", status=409) from None
        return Response(result.as_json())


def _saved_json(now: datetime, days: int) -> dict[str, Any]:
    saved = savings(now, since=now - timedelta(days=days))
    return {
        "days": days,
        "stops": saved.stops,
        "stops_counted": saved.counted,
        "hours": f"{saved.length / timedelta(hours=1):.2f}",
        "usd": f"{saved.usd:.2f}",
        "formula": FORMULA,
        "most_hours_per_stop": int(LONGEST_SAVING / timedelta(hours=1)),
    }


def _days(request: Request) -> int:
    text = request.query_params.get("days", str(_DAYS))
    if not (text.isascii() and text.isdigit() and len(text) < 4) or not 1 <= int(text) <= _MOST_DAYS:
        raise serializers.ValidationError({"days": [f"write a whole number from 1 to {_MOST_DAYS}"]}, "invalid")
    return int(text)


def _held_by_signal(managed: Any) -> dict[str, int]:
    """Which signal holds how many of the instances that are paid for."""
    codes = _counted(Evaluation.objects.filter(instance__in=managed), "code", [])
    return {name: sum(codes.get(code, 0) for code in held) for name, held in _HELD_BY.items()}


def _counted(rows: Any, column: str, words: list[str]) -> dict[str, int]:
    found: dict[str, int] = dict(rows.order_by().values_list(column).annotate(Count("pk")))
    return dict.fromkeys(words, 0) | found


urlpatterns = [
    path("auto-stop/stats", Stats.as_view(), name="auto-stop-stats"),
    path("auto-stop/policies", PolicyList.as_view(), name="auto-stop-policies"),
    path("auto-stop/policies/<str:name>", PolicyDetail.as_view(), name="auto-stop-policy"),
    path("auto-stop/decisions", Decisions.as_view(), name="auto-stop-decisions"),
    path("auto-stop/check", Check.as_view(), name="auto-stop-check"),
    path("instances/<str:ref>/keep", Keep.as_view(), name="instance-keep"),
    path("instances/<str:ref>/heartbeat", HeartbeatOf.as_view(), name="instance-heartbeat"),
]
