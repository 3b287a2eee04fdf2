"""What one instance tells of itself: its timeline, how to get in, how busy it is, its log."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from instances.api import detail_shapes, shapes
from instances.api.filters import EventFilter
from instances.api.live_reads import LOG_SOURCES, MOST_LOG_LINES, MOST_MINUTES, log_tail, utilisation
from instances.api.pagination import NewestFirst
from instances.api.references import find
from instances.api.representations import event_json
from instances.api.viewsets import ApiViewSet, actor_of, may
from instances.api.ways_in import reveal, ways_in
from instances.models import Event


class AccessMixin(ApiViewSet):
    @extend_schema(responses=shapes.EventShape(many=True), filters=True)
    @action(detail=True, pagination_class=NewestFirst, filterset_class=EventFilter)
    def events(self, request: Request, ref: str) -> Response:
        rows = Event.objects.filter(instance_id=find(ref).pk)
        return self.listed(self.filter_queryset(rows), event_json)

    @extend_schema(responses=detail_shapes.ConnectionShape)
    @action(detail=True, filterset_class=None)
    def connection(self, request: Request, ref: str) -> Response:
        """Endpoints and other ways in; passwords, addresses with tokens and env values only with the scope `secrets`."""
        instance = find(ref)
        if may(request, "secrets"):
            return Response(reveal(instance, actor=actor_of(request), now=self.now))
        return Response(ways_in(instance, secrets=False))

    @extend_schema(
        responses=detail_shapes.MetricsShape,
        parameters=[OpenApiParameter("minutes", int, description="How far back, 1 to 1440; default 30")],
    )
    @action(detail=True, filterset_class=None)
    def metrics(self, request: Request, ref: str) -> Response:
        """Utilisation in percent as Novita measures it, at most 15 s old; `cpu` sums over cores."""
        minutes = _number(request, "minutes", default=30, most=MOST_MINUTES)
        instance = find(ref)
        body = utilisation(instance, minutes=minutes, now=self.now)
        return Response({"instance_id": str(instance.pk), "minutes": minutes, **body})

    @extend_schema(
        responses=detail_shapes.LogShape,
        parameters=[
            OpenApiParameter("source", str, enum=LOG_SOURCES),
            OpenApiParameter("tail", int, description="How many lines from the end, 1 to 2000; default 200"),
        ],
    )
    @action(detail=True, filterset_class=None)
    def logs(self, request: Request, ref: str) -> Response:
        """The end of the container's own log."""
        source = request.query_params.get("source", "instance")
        if source not in LOG_SOURCES:
            raise ValidationError({"source": ["write system or instance"]}, "invalid_choice")
        lines = _number(request, "tail", default=200, most=MOST_LOG_LINES)
        instance = find(ref)
        body = log_tail(instance, source=source, lines=lines, actor=actor_of(request), now=self.now)
        return Response({"instance_id": str(instance.pk), "source": source, **body})


def _number(request: Request, name: str, *, default: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 8) or not 1 <= int(text) <= most:
        raise ValidationError({name: [f"write a whole number from 1 to {most}"]}, "invalid")
    return int(text)
