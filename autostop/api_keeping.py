"""What people and programs say about one instance's auto-stop: keep it until a time, and give it a heartbeat."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from autostop import heartbeats
from autostop.models import Heartbeat
from autostop.shapes import HeartbeatShape, IssuedHeartbeatShape
from instances.api import shapes
from instances.api.fields import Moment, Strict, Text
from instances.api.references import find, find_to_change
from instances.api.representations import instance_json
from instances.api.times import rfc3339
from instances.api.viewsets import actor_of
from instances.models import Instance, ProviderAccount
from instances.operations import end_keep, keep_until


class KeepForm(Strict):
    until = Moment(future=True)
    reason = Text(max_length=500)


class Keep(APIView):
    """Keep an instance: no rule stops it before a time. It takes a reason, and ends by itself."""

    scopes = {"post": "operate", "delete": "operate"}

    @extend_schema(operation_id="instances_keep", request=KeepForm, responses=shapes.InstanceShape)
    def post(self, request: Request, ref: str) -> Response:
        now, instance = timezone.now(), find(ref)
        form = KeepForm(data=request.data, context={"now": now})
        form.is_valid(raise_exception=True)
        body = form.validated_data
        keep_until(instance.pk, body["until"], reason=body["reason"], actor=actor_of(request), now=now)
        return _shown(instance, now)

    @extend_schema(operation_id="instances_end_keep", request=None, responses={200: shapes.InstanceShape})
    def delete(self, request: Request, ref: str) -> Response:
        now, instance = timezone.now(), find_to_change(ref)
        end_keep(instance.pk, actor=actor_of(request), now=now)
        return _shown(instance, now)


class HeartbeatOf(APIView):
    """The address a program inside an instance calls to say that it works. It is shown once, when it is made."""

    scopes = {"get": "read", "post": "operate", "delete": "operate"}

    @extend_schema(operation_id="instances_heartbeat", responses=HeartbeatShape)
    def get(self, request: Request, ref: str) -> Response:
        return Response(_heartbeat_json(Heartbeat.objects.filter(instance=find(ref)).first()))

    @extend_schema(operation_id="instances_heartbeat_issue", request=None, responses={201: IssuedHeartbeatShape})
    def post(self, request: Request, ref: str) -> Response:
        """Make an address; an earlier one ends with it."""
        instance = find_to_change(ref)
        issued = heartbeats.issue(instance.pk, actor=actor_of(request), now=timezone.now())
        row = Heartbeat.objects.get(instance=instance)
        shown = {**_heartbeat_json(row), "url": issued.url, "snippet": issued.snippet}
        return Response(shown, status=201, headers={"Cache-Control": "no-store"})

    @extend_schema(operation_id="instances_heartbeat_revoke", responses={204: None})
    def delete(self, request: Request, ref: str) -> Response:
        heartbeats.revoke(find_to_change(ref).pk, actor=actor_of(request), now=timezone.now())
        return Response(status=204)


def _heartbeat_json(row: Heartbeat | None) -> dict[str, Any]:
    return {
        "issued": row is not None and row.token_hash is not None,
        "issued_at": rfc3339(row.issued_at) if row and row.token_hash else None,
        "issued_by": row.issued_by if row and row.token_hash else None,
        "beaten_at": _time(row.beaten_at if row else None),
        "active_at": _time(row.active_at if row else None),
        "gpu_percent": row.gpu_percent if row else None,
        "cpu_cores": row.cpu_cores if row else None,
    }


def _shown(instance: Instance, now: datetime) -> Response:
    fresh = Instance.objects.for_display().get(pk=instance.pk)
    return Response(instance_json(fresh, now=now, account=ProviderAccount.objects.filter(pk=1).first()))


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
