"""Reclaims over HTTP: the records, and a pass now or rehearsed with a reason for each instance."""

from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from instances.api.fields import Flag, Strict
from instances.api.pagination import NewestFirst
from instances.api.representations import money
from instances.api.times import rfc3339
from instances.api.viewsets import actor_of
from instances.models import Reclaim
from instances.reclaims import story_of
from sync.reclaim_decision import Action
from sync.reclaims import Item, most_acts, revive


class ReclaimTryShape(serializers.Serializer[None]):
    verb = serializers.CharField()
    job = serializers.CharField()
    at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    outcome = serializers.CharField(allow_blank=True)
    detail = serializers.CharField(allow_blank=True)


class ReclaimSerializer(serializers.ModelSerializer[Reclaim]):
    tries = ReclaimTryShape(many=True)
    evidence = serializers.DictField()
    price_before_usd_per_hour = serializers.SerializerMethodField()
    price_after_usd_per_hour = serializers.SerializerMethodField()
    story = serializers.SerializerMethodField(help_text="From the first sign to the outcome, in sentences")

    def get_story(self, reclaim: Reclaim) -> str:
        return story_of(reclaim)

    def get_price_before_usd_per_hour(self, reclaim: Reclaim) -> str | None:
        return money(reclaim.price_before_usd_per_hour)

    def get_price_after_usd_per_hour(self, reclaim: Reclaim) -> str | None:
        return money(reclaim.price_after_usd_per_hour)

    class Meta:
        model = Reclaim
        fields = [
            *("id", "instance_id", "reclaim_at", "state", "seen_at", "notified_at", "taken_at", "evidence"),
            *("action", "code", "reason", "decided_at", "next_at", "job_id", "tries"),
            *("novita_id_before", "novita_id_after", "region_before", "region_after"),
            *("price_before_usd_per_hour", "price_after_usd_per_hour", "outcome", "back_at", "ended_at", "story"),
        ]


class ReclaimCheckRequestSerializer(Strict):
    """A mistyped rehearsal must not become a start: unknown fields and words for a truth value are refused."""

    dry_run = Flag(default=True)


class ReclaimCheckedShape(serializers.Serializer[None]):
    instance_id = serializers.UUIDField()
    name = serializers.CharField()
    novita_id = serializers.CharField()
    reclaim_id = serializers.IntegerField(allow_null=True)
    eligible = serializers.BooleanField()
    action = serializers.CharField(help_text=f"One of {', '.join(Action)}")
    code = serializers.CharField()
    reason = serializers.CharField()
    acted = serializers.BooleanField()
    next_at = serializers.DateTimeField(allow_null=True)


class ReclaimCheckResultShape(serializers.Serializer[None]):
    dry_run = serializers.BooleanField()
    most_acts = serializers.IntegerField()
    acted = serializers.IntegerField()
    results = ReclaimCheckedShape(many=True)


@extend_schema_view(get=extend_schema(operation_id="reclaims_list"))
class Reclaims(ListAPIView[Reclaim]):
    """Every reclaim from its first sign to its outcome, newest first. Filters: instance_id, state, outcome."""

    scopes = {"get": "read"}
    serializer_class = ReclaimSerializer
    pagination_class = NewestFirst
    queryset = Reclaim.objects.all()
    filterset_fields = ["instance_id", "state", "outcome"]


@extend_schema_view(get=extend_schema(operation_id="reclaims_read"))
class OneReclaim(RetrieveAPIView[Reclaim]):
    """One reclaim, with its tries and what was read."""

    scopes = {"get": "read"}
    serializer_class = ReclaimSerializer
    queryset = Reclaim.objects.all()


class Check(APIView):
    """A pass now, over all managed spot instances, with a reason for each. A rehearsal unless `dry_run` is false."""

    scopes = {"post": "operate"}

    @extend_schema(operation_id="reclaims_check", request=ReclaimCheckRequestSerializer, responses=ReclaimCheckResultShape)
    def post(self, request: Request) -> Response:
        body = ReclaimCheckRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        dry_run: bool = body.validated_data["dry_run"]
        items = revive(now=timezone.now(), dry_run=dry_run, actor=actor_of(request))
        return Response(
            {
                "dry_run": dry_run,
                "most_acts": most_acts(),
                "acted": sum(item.acted for item in items),
                "results": [item_json(item) for item in items],
            }
        )


def item_json(item: Item) -> dict[str, Any]:
    at = item.decision.at
    return {
        "instance_id": str(item.instance_id),
        "name": item.name,
        "novita_id": item.novita_id,
        "reclaim_id": item.reclaim_id,
        "eligible": item.decision.acts,
        "action": str(item.decision.action),
        "code": item.decision.code,
        "reason": item.decision.reason,
        "acted": item.acted,
        "next_at": rfc3339(at) if at else None,
    }


urlpatterns = [
    path("reclaims", Reclaims.as_view(), name="reclaims"),
    path("reclaims/check", Check.as_view(), name="reclaims-check"),
    path("reclaims/<int:pk>", OneReclaim.as_view(), name="reclaim"),
]
