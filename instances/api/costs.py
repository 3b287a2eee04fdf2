"""What was spent: sums of metered GPU time and of disks, by whatever people ask for."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from instances.api.fields import Choice, Moment, Strict, Text
from instances.api.times import rfc3339
from instances.costs import GROUPS, Spent, costs_between

_SIX_PLACES = Decimal("0.000001")
_LONGEST = timedelta(days=400)
_USUAL = timedelta(days=30)
_MOST_GROUPS = 1000


class CostsQuery(Strict):
    by = Choice(choices=GROUPS, default="instance")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        fields: dict[str, serializers.Field[Any, Any, Any, Any]] = super().get_fields()
        spans = {name: Moment(required=False) for name in ("from", "to")}
        return {**spans, "label": Text(max_length=63, required=False), **fields}


class SpentShape(serializers.Serializer[None]):
    total_usd = serializers.CharField()
    compute_usd = serializers.CharField()
    disk_usd = serializers.CharField()
    uncertain_usd = serializers.CharField(
        help_text="How far compute_usd may be off at most: the edges of a run are seen between two reads"
    )
    instance_hours = serializers.CharField()
    instances = serializers.IntegerField()


class GroupShape(SpentShape):
    key = serializers.CharField(help_text="An instance's id, an owner, key=value of a label, a product, a billing mode")
    name = serializers.CharField()


class CostsShape(serializers.Serializer[None]):
    by = serializers.ChoiceField(choices=GROUPS)
    total = SpentShape()
    groups_found = serializers.IntegerField()
    results = GroupShape(many=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        fields: dict[str, serializers.Field[Any, Any, Any, Any]] = super().get_fields()
        return {"from": serializers.DateTimeField(), "to": serializers.DateTimeField(), **fields}


class CostsView(APIView):
    """Sums over a span of at most 400 days, the last 30 days by default; the dearest 1,000 groups.

    Grouped by label, an instance counts in the group of each of its labels, or of the one named by `label`.
    """

    scopes = {"get": "read"}

    @extend_schema(
        operation_id="costs",
        responses=CostsShape,
        parameters=[
            OpenApiParameter("by", str, enum=GROUPS, description="What to sum by; default instance"),
            OpenApiParameter("label", str, description="One label's key, for by=label"),
            OpenApiParameter("from", OpenApiTypes.DATETIME, description="Default: 30 days before `to`"),
            OpenApiParameter("to", OpenApiTypes.DATETIME, description="Default: now"),
        ],
    )
    def get(self, request: Request) -> Response:
        now = timezone.now()
        query = CostsQuery(data=request.query_params.dict(), context={"now": now})
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        start, end = _span(asked, now)
        by, label = asked["by"], asked.get("label", "")
        if label and by != "label":
            raise _refused("label", "it goes with by=label alone")
        found = costs_between(start, end, by=by, label=label, now=now)
        shown = list(found.groups.items())[:_MOST_GROUPS]
        return Response(
            {
                "from": rfc3339(start),
                "to": rfc3339(end),
                "by": by,
                "total": spent_json(found.total),
                "groups_found": len(found.groups),
                "results": [{"key": key, "name": found.names[key], **spent_json(spent)} for key, spent in shown],
            }
        )


def spent_json(spent: Spent) -> dict[str, Any]:
    return {
        "total_usd": _money(spent.total_usd),
        "compute_usd": _money(spent.compute_usd),
        "disk_usd": _money(spent.disk_usd),
        "uncertain_usd": _money(spent.uncertain_usd),
        "instance_hours": f"{spent.hours.quantize(Decimal('0.001')):f}",
        "instances": len(spent.instances),
    }


def _span(asked: dict[str, Any], now: datetime) -> tuple[datetime, datetime]:
    end = min(asked.get("to", now), now)
    start = asked.get("from", end - _USUAL)
    if start >= end:
        raise _refused("from", "it must lie before `to` and in the past")
    if end - start > _LONGEST:
        raise _refused("from", "at most 400 days are summed at once")
    return start, end


def _refused(field: str, detail: str) -> ValidationError:
    return ValidationError({field: [ErrorDetail(detail, "invalid")]})


def _money(amount: Decimal) -> str:
    return f"{amount.quantize(_SIX_PLACES):f}"
