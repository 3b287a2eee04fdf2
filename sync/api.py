"""Sync over HTTP: past runs, and one on demand with its result in the answer."""

from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from instances import operations
from instances.api.fields import Flag, Strict, Text
from instances.api.pagination import NewestFirst
from instances.api.problems import Problem
from instances.api.times import rfc3339
from instances.api.viewsets import actor_of
from instances.models import Machine, ProviderAccount
from instances.novita.errors import NovitaError
from instances.periodic import bring_forward
from sync.manual import ListRunning, as_json, sync_now
from sync.models import SyncRun
from sync.shapes import ChangeShape, SyncResultShape


class SyncRunSerializer(serializers.ModelSerializer[SyncRun]):
    counts = serializers.DictField(child=serializers.IntegerField())
    changes = ChangeShape(many=True)
    seconds = serializers.SerializerMethodField()

    def get_seconds(self, run: SyncRun) -> float | None:
        return round(run.duration.total_seconds(), 3) if run.duration else None

    class Meta:
        model = SyncRun
        fields = [
            "id",
            "trigger",
            "actor_kind",
            "actor_name",
            "dry_run",
            "started_at",
            "finished_at",
            "complete",
            "problem",
            "pages",
            "seen",
            "counts",
            "applied",
            "seconds",
            "changes",
        ]


class SyncRequestSerializer(Strict):
    dry_run = Flag(default=False)


class LiftRequestSerializer(Strict):
    reason = Text(max_length=500)


class FreezeShape(serializers.Serializer[None]):
    frozen = serializers.BooleanField()
    since = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField()
    holds = serializers.CharField(help_text="What is held meanwhile, in words")
    unverified = serializers.IntegerField(help_text="Machines that lists lack without being believed")


class Runs(ListAPIView[SyncRun]):
    """Runs, newest first: what each found and stored; and a run now. Those that found nothing are kept for a day or two."""

    scopes = {"get": "read", "post": "operate"}
    serializer_class = SyncRunSerializer
    pagination_class = NewestFirst
    queryset = SyncRun.objects.all()
    filterset_fields = ["trigger", "complete"]

    @extend_schema(operation_id="sync_run", request=SyncRequestSerializer, responses=SyncResultShape)
    def post(self, request: Request) -> Response:
        body = SyncRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            result = sync_now(actor=actor_of(request), dry_run=body.validated_data["dry_run"])
        except ListRunning as running:
            raise Problem(str(running), code="sync_running", status=409) from running
        except NovitaError as error:
            raise Problem(f"Novita did not answer: {error.message}", code=error.code, status=503, retry_after=10) from error
        return Response(as_json(result))


class Freeze(APIView):
    """Whether rules are held since Novita's lists or our key are in doubt; a person who knows better may lift that."""

    scopes = {"get": "read"}

    @extend_schema(operation_id="sync_freeze", responses=FreezeShape)
    def get(self, request: Request) -> Response:
        return Response(freeze_json())


class LiftFreeze(APIView):
    scopes = {"post": "operate"}

    @extend_schema(operation_id="sync_freeze_lift", request=LiftRequestSerializer, responses=FreezeShape)
    def post(self, request: Request) -> Response:
        """Believe the key and the next list. Gone still takes a read by id that does not find it."""
        body = LiftRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        lifted = operations.lift_freeze(actor=actor_of(request), reason=body.validated_data["reason"], now=timezone.now())
        if lifted:
            bring_forward("poll", to=timezone.now())
        return Response(freeze_json())


def freeze_json() -> dict[str, Any]:
    account = ProviderAccount.objects.filter(pk=1).first()
    since = account and (account.frozen_since or account.doubted_since)
    return {
        "frozen": bool(since),
        "since": rfc3339(since) if since else None,
        "reason": (account.frozen_reason or account.doubt_reason) if account and since else "",
        "holds": _held_by(account),
        "unverified": Machine.objects.exclude(unverified_since=None).count(),
    }


def _held_by(account: ProviderAccount | None) -> str:
    if account is not None and account.frozen_since:
        return "everything that rules do"
    return (
        "deleting, moving and calling gone, and every rule for what lists lack" if account and account.doubted_since else ""
    )


urlpatterns = [
    path("sync/runs", Runs.as_view(), name="sync-runs"),
    path("sync/freeze", Freeze.as_view(), name="sync-freeze"),
    path("sync/freeze/lift", LiftFreeze.as_view(), name="sync-freeze-lift"),
]
