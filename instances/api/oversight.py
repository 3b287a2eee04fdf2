"""Alarms, and the switch that holds every rule."""

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from instances import alarms, operations
from instances.api import requests, shapes
from instances.api.filters import AlarmFilter
from instances.api.representations import alarm_json
from instances.api.times import rfc3339
from instances.api.viewsets import ApiViewSet, actor_of
from instances.models import Alarm, AutomationPause


class AlarmViewSet(ApiViewSet):
    queryset = Alarm.objects.all()
    serializer_class = shapes.AlarmShape
    filterset_class = AlarmFilter
    lookup_field = "id"
    lookup_value_regex = "[0-9]{1,18}"
    scopes = {"list": "read", "retrieve": "read", "acknowledge": "operate"}

    def list(self, request: Request) -> Response:
        return self.listed(self.filter_queryset(self.get_queryset()), alarm_json)

    def retrieve(self, request: Request, id: str) -> Response:  # noqa: A002 - the name of the address's part
        return Response(alarm_json(_alarm(id)))

    @extend_schema(request=requests.Acknowledge, responses=shapes.AlarmShape)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, id: str) -> Response:  # noqa: A002
        """Note that somebody knows, until a time or for good."""
        alarm = _alarm(id)
        body = self.body(requests.Acknowledge)
        if alarm.cleared_at is not None:
            raise operations.WrongPhase("the alarm has cleared already")

        def act() -> Response:
            done = alarms.acknowledge(
                alarm.pk, actor=actor_of(request), reason=body["reason"], until=body.get("until"), now=self.now
            )
            return Response(alarm_json(done))

        return self.commit(act)


class AutomationViewSet(ApiViewSet):
    """{"paused_until", "reason"}: PUT pauses every rule until then, DELETE or a null time resumes."""

    serializer_class = shapes.AutomationShape
    filter_backends = []
    pagination_class = None
    scopes = {"retrieve": "read", "update": "operate", "destroy": "operate"}

    def retrieve(self, request: Request) -> Response:
        return Response(self._shown(AutomationPause.objects.filter(pk=1).first()))

    @extend_schema(request=requests.Pause, responses=shapes.AutomationShape)
    def update(self, request: Request) -> Response:
        body = self.body(requests.Pause)
        until = body["paused_until"]
        if until is None:
            return self.destroy(request)
        pause = operations.pause_automation(until=until, reason=body["reason"], actor=actor_of(request), now=self.now)
        return Response(self._shown(pause))

    @extend_schema(responses={200: shapes.AutomationShape})
    def destroy(self, request: Request) -> Response:
        return Response(self._shown(operations.resume_automation(actor=actor_of(request), now=self.now)))

    def _shown(self, pause: AutomationPause | None) -> dict[str, Any]:
        holds = pause is not None and pause.holds(self.now)
        return {
            "paused_until": rfc3339(pause.paused_until) if pause and pause.paused_until and holds else None,
            "reason": pause.reason if pause and holds else "",
        }


def _alarm(alarm_id: str) -> Alarm:
    alarm = Alarm.objects.filter(pk=int(alarm_id)).first()
    if alarm is None:
        raise Http404("there is no such alarm")
    return alarm
