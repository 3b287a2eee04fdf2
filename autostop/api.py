"""Auto-stop over HTTP: the default policy, what the last pass decided, what was done, and a pass on demand."""

from datetime import timedelta
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
from autostop.facts import Policy, default_policy, standing_at
from autostop.models import Evaluation, PassRun, RecordedDecision
from autostop.passes import FEWEST_ACTS, SHARE_OF_RUNNING, WORK, PassRunning, run_now
from instances.api.fields import Flag, Strict
from instances.api.pagination import NewestFirst
from instances.api.problems import Problem
from instances.api.times import duration_text, rfc3339
from instances.api.viewsets import actor_of
from instances.models import Instance, PeriodicWork
from instances.models.instance import AutoStopMode

_READ = {"get": "read"}


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
            "evidence",
            "job_id",
            "pass_run_id",
        ]


class Stats(APIView):
    """What auto-stop is doing: modes, the last pass, the newest decision of each instance by code, stops so far."""

    scopes = _READ

    @extend_schema(operation_id="auto_stop_stats", responses=shapes.StatsShape)
    def get(self, request: Request) -> Response:
        now = timezone.now()
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
                "stops": RecordedDecision.objects.filter(acted=True).aggregate(
                    total=Count("id"), last_24h=Count("id", filter=Q(decided_at__gte=now - timedelta(hours=24)))
                ),
            }
        )


class Policies(APIView):
    """The rules in force. There is one: made from the environment, an instance's own settings going before it."""

    scopes = _READ

    @extend_schema(operation_id="auto_stop_policies", responses=shapes.PoliciesShape)
    def get(self, request: Request) -> Response:
        results = [policy_json(default_policy())]
        return Response({"count": len(results), "next": None, "previous": None, "results": results})


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


def policy_json(policy: Policy) -> dict[str, Any]:
    return {
        "name": "default",
        "source": "environment",
        "mode": str(AutoStopMode.ENFORCE),
        "threshold": duration_text(policy.threshold),
        "gpu_percent": policy.gpu_percent,
        "cpu_cores": policy.cpu_cores,
        "startup_timeout": duration_text(policy.startup_timeout),
        "pull_timeout": duration_text(policy.pull_timeout),
        "interval": duration_text(policy.interval),
        "fewest_acts_per_pass": FEWEST_ACTS,
        "share_of_running_per_pass": SHARE_OF_RUNNING,
    }


def _counted(rows: Any, column: str, words: list[str]) -> dict[str, int]:
    found: dict[str, int] = dict(rows.order_by().values_list(column).annotate(Count("pk")))
    return dict.fromkeys(words, 0) | found


urlpatterns = [
    path("auto-stop/stats", Stats.as_view(), name="auto-stop-stats"),
    path("auto-stop/policies", Policies.as_view(), name="auto-stop-policies"),
    path("auto-stop/decisions", Decisions.as_view(), name="auto-stop-decisions"),
    path("auto-stop/check", Check.as_view(), name="auto-stop-check"),
]
