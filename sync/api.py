"""Sync over HTTP: past runs, and one on demand with its result in the answer."""

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from instances.api.fields import Flag, Strict
from instances.api.pagination import NewestFirst
from instances.api.problems import Problem
from instances.api.viewsets import actor_of
from instances.novita.errors import NovitaError
from sync.manual import ListRunning, as_json, sync_now
from sync.models import SyncRun
from sync.shapes import ChangeShape, SyncResultShape


class SyncRunSerializer(serializers.ModelSerializer[SyncRun]):
    counts = serializers.DictField(child=serializers.IntegerField())
    changes = ChangeShape(many=True)

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
            "changes",
        ]


class SyncRequestSerializer(Strict):
    dry_run = Flag(default=False)


class Runs(ListAPIView[SyncRun]):
    """Runs that found a difference, were incomplete or were asked for, newest first; and a run now."""

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


urlpatterns = [path("sync/runs", Runs.as_view(), name="sync-runs")]
